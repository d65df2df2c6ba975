//! Many calls at one time, and many that are canceled.

use futures_util::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::task::{JoinSet, yield_now};

use crate::{
    pb::{Empty, OutputRequest, UnaryRequest},
    requests::{fed, input, next, output, unary},
    world::{Client, TUNNELS, World, within},
};

/// What an entry takes on one connection.
const STREAMS: usize = 100;
const CONNECTIONS: usize = 10;

#[tokio::test]
async fn a_thousand_streams_at_one_agent() {
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            let world = World::new(place).await;
            let mut calls = Vec::new();
            for _ in 0..CONNECTIONS {
                let client = world.client().await;
                calls.extend((0..STREAMS).map(|_| open(client.clone())));
            }
            // All are open when the last of them is.
            let calls = join_all(calls).await;
            let session = &world.tunnel().gateway.agents().list()[0].session;
            assert_eq!(session.pending(), STREAMS * CONNECTIONS);
            world.server.calls.running(STREAMS * CONNECTIONS).await;

            let ends = calls.into_iter().map(|(requests, mut answers)| async move {
                requests.send(output(1, &[11])).await.expect("the call goes on");
                drop(requests);
                assert_eq!(next(&mut answers).await, 11);
                assert!(answers.message().await.expect("it ends well").is_none());
            });
            join_all(ends).await;
            world.settled().await;
        })
        .await;
    }
}

type Open = (
    tokio::sync::mpsc::Sender<OutputRequest>,
    tonic::Streaming<crate::pb::OutputResponse>,
);

/// Opens a call, and gets one message in each direction.
async fn open(mut client: Client) -> Open {
    let (requests, messages) = fed();
    let answer = client.full_duplex_call(messages).await;
    let mut answers = answer.expect("it succeeds").into_inner();
    requests.send(output(1, &[7])).await.expect("the call goes on");
    assert_eq!(next(&mut answers).await, 7);
    (requests, answers)
}

#[tokio::test]
async fn a_storm_of_cancels_leaves_nothing() {
    const CALLS: usize = 800;
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            let world = World::new(place).await;
            let mut random = StdRng::seed_from_u64(20);
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(world.client().await);
            }
            let mut calls = JoinSet::new();
            for number in 0..CALLS {
                let call = endless(number % 4, clients[number % clients.len()].clone());
                let patience = random.random_range(0..200);
                calls.spawn(async move {
                    tokio::select! {
                        biased;
                        () = call => panic!("the call has no end"),
                        () = turns(patience) => {}
                    }
                });
            }
            while let Some(call) = calls.join_next().await {
                call.expect("no panic");
            }
            world.settled().await;
            let answer = clients[0].empty_call(Empty {}).await;
            answer.expect("the tunnel is as it was");
            world.settled().await;
        })
        .await;
    }
}

async fn turns(number: usize) {
    for _ in 0..number {
        yield_now().await;
    }
}

/// One of four kinds of calls, none of which ends.
async fn endless(kind: usize, mut client: Client) {
    let request = OutputRequest {
        hang: true,
        ..output(1_000, &[10_000; 10])
    };
    match kind {
        0 => {
            let request = UnaryRequest {
                hang: true,
                ..unary(100_000, 1)
            };
            drop(client.unary_call(request).await);
        }
        1 => {
            let messages = futures_util::stream::repeat_with(|| input(10_000));
            drop(client.streaming_input_call(messages).await);
        }
        2 => {
            let answer = client.streaming_output_call(request).await;
            let mut answers = answer.expect("it succeeds").into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        }
        _ => {
            let (requests, messages) = fed();
            let answer = client.full_duplex_call(messages).await;
            let mut answers = answer.expect("it succeeds").into_inner();
            while requests.send(output(100, &[100, 200])).await.is_ok() {
                next(&mut answers).await;
            }
        }
    }
}
