//! Long streams, and a consumer that is slower than the producer: what is on the way stays bounded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::stream;
use tokio::task::yield_now;
use tunnel_core::flow::{DEFAULT_INITIAL_CREDIT, MAX_CREDIT};
use tunnel_tests::tunnel::Tunnel;

use crate::{
    pb::{OutputParameters, OutputRequest},
    requests::input,
    server::Server,
    world::{Place, TUNNELS, World, within},
};

const MESSAGES: usize = 100_000;
/// The bytes of a payload.
const SIZE: usize = 200;
/// How often the slow side gives way to everybody else after a message.
const YIELDS: usize = 3;
/// What may be on the way in bytes of payload: the windows and the send buffers of the three connections, and what the
/// exchange may have in the tunnel.
const BOUND: usize = 8 * 1024 * 1024;
/// What one end may have granted to the call: one direction at its largest, the other as it began.
const CREDIT: usize = (MAX_CREDIT + DEFAULT_INITIAL_CREDIT) as usize;

#[tokio::test]
async fn a_slow_client() {
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            let world = World::new(place).await;
            let request = OutputRequest {
                responses: vec![OutputParameters {
                    size: SIZE as u32,
                    times: MESSAGES as u32,
                }],
                ..OutputRequest::default()
            };
            let answer = world.client().await.streaming_output_call(request).await;
            let mut answers = answer.expect("it succeeds").into_inner();
            let mut most = Most::default();
            for read in 0..MESSAGES {
                let message = answers.message().await.expect("the call goes on");
                assert_eq!(message.expect("there are more").payload.len(), SIZE);
                for _ in 0..YIELDS {
                    yield_now().await;
                }
                most.look(&world, world.server.made.load(Ordering::Relaxed) - read);
            }
            assert!(answers.message().await.expect("it ends well").is_none());
            most.assert_bounded(place);
            drop(answers);
            world.settled().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_slow_server() {
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            let server = Server {
                yields: YIELDS,
                ..Server::new()
            };
            let world = World::with(place, server, Tunnel::builder()).await;
            let made = Arc::new(AtomicUsize::new(0));
            let counter = made.clone();
            let messages = stream::unfold(0, move |number| {
                let counter = counter.clone();
                async move {
                    let next = (number < MESSAGES).then(|| (input(SIZE), number + 1));
                    counter.store(number, Ordering::Relaxed);
                    next
                }
            });
            let mut client = world.client().await;
            let call = tokio::spawn(async move { client.streaming_input_call(messages).await });
            let mut most = Most::default();
            while !call.is_finished() {
                yield_now().await;
                let read = world.server.read.load(Ordering::Relaxed);
                most.look(&world, made.load(Ordering::Relaxed).saturating_sub(read));
            }
            let answer = call.await.expect("no panic").expect("it succeeds");
            assert_eq!(answer.into_inner().size, (MESSAGES * SIZE) as u64);
            most.assert_bounded(place);
            world.settled().await;
        })
        .await;
    }
}

/// The most that was seen at one time.
#[derive(Default, Debug)]
struct Most {
    messages: usize,
    credit: usize,
}

impl Most {
    fn look(&mut self, world: &World, messages: usize) {
        self.messages = self.messages.max(messages);
        if let Some(tunnel) = &world.tunnel {
            let agents = tunnel.agents.iter().map(|agent| agent.credit().used());
            let credit = agents.chain([tunnel.gateway.credit().used()]).max();
            self.credit = self.credit.max(credit.unwrap_or(0));
        }
    }

    fn assert_bounded(&self, place: Place) {
        println!(
            "{place:?}: at most {} messages on the way, {} bytes of credit",
            self.messages, self.credit
        );
        assert!(self.messages * SIZE <= BOUND, "{place:?}: {self:?}");
        assert!(self.credit <= CREDIT, "{place:?}: {self:?}");
    }
}
