//! The agent dies in the middle of a call.

use tonic::{Code, Status};

use crate::{
    pb::{OutputRequest, UnaryRequest},
    requests::{Named, fed, input, next, output, unary},
    world::{Client, TUNNELS, World, eventually, within},
};

/// Kills the agent as soon as the handler of `call` runs.
async fn kill(world: &mut World, client: &mut Client, call: &Named) {
    call.started(client).await;
    world.kill_agent().await;
}

/// The call ended neither well nor as if the tunnel had an error of its own, and nothing is left of it.
async fn assert_lost<T: std::fmt::Debug>(world: &World, result: Result<T, Status>) {
    let status = result.expect_err("the call does not end well");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(
        status.metadata().get("x-tunnel-error").expect("a cause"),
        "agent-lost"
    );
    world.server.calls.running(0).await;
    let gateway = &world.tunnel().gateway;
    eventually(|| gateway.agents().list().is_empty() && gateway.credit().used() == 0).await;
}

async fn everywhere<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            test(World::new(place).await).await;
        })
        .await;
    }
}

/// A call that gets no more than these messages.
fn endless(sizes: &[u32]) -> OutputRequest {
    OutputRequest {
        hang: true,
        ..output(1, sizes)
    }
}

#[tokio::test]
async fn in_a_unary_call() {
    everywhere(|mut world| async move {
        let (mut client, call) = (world.client().await, Named::new());
        let mut caller = client.clone();
        let request = call.request(UnaryRequest {
            hang: true,
            ..unary(1, 1)
        });
        let answer = tokio::spawn(async move { caller.unary_call(request).await });
        kill(&mut world, &mut client, &call).await;
        assert_lost(&world, answer.await.expect("no panic")).await;
    })
    .await;
}

#[tokio::test]
async fn while_the_client_streams() {
    everywhere(|mut world| async move {
        let (mut client, call) = (world.client().await, Named::new());
        let (requests, messages) = fed();
        let mut caller = client.clone();
        let request = call.request(messages);
        let answer = tokio::spawn(async move { caller.streaming_input_call(request).await });
        requests.send(input(1_000)).await.expect("the call goes on");
        kill(&mut world, &mut client, &call).await;
        assert_lost(&world, answer.await.expect("no panic")).await;
        drop(requests);
    })
    .await;
}

#[tokio::test]
async fn while_the_server_streams() {
    everywhere(|mut world| async move {
        let (mut client, call) = (world.client().await, Named::new());
        let request = call.request(endless(&[1_000]));
        let answer = client.streaming_output_call(request).await;
        let mut answers = answer.expect("it succeeds").into_inner();
        assert_eq!(next(&mut answers).await, 1_000);
        kill(&mut world, &mut client, &call).await;
        assert_lost(&world, answers.message().await).await;
    })
    .await;
}

#[tokio::test]
async fn after_the_head() {
    everywhere(|mut world| async move {
        let (mut client, call) = (world.client().await, Named::new());
        let answer = client.streaming_output_call(call.request(endless(&[]))).await;
        let mut answers = answer.expect("the head came").into_inner();
        kill(&mut world, &mut client, &call).await;
        assert_lost(&world, answers.message().await).await;
    })
    .await;
}

#[tokio::test]
async fn in_the_middle_of_a_message() {
    everywhere(|mut world| async move {
        let (mut client, call) = (world.client().await, Named::new());
        // More than the windows on the way hold, so that the client has some of it and cannot get the rest.
        let request = call.request(endless(&[16 * 1024 * 1024]));
        let answer = client.streaming_output_call(request).await;
        let mut answers = answer.expect("the head came").into_inner();
        kill(&mut world, &mut client, &call).await;
        assert_lost(&world, answers.message().await).await;
    })
    .await;
}

#[tokio::test]
async fn while_both_stream() {
    everywhere(|mut world| async move {
        let (mut client, call) = (world.client().await, Named::new());
        let (requests, messages) = fed();
        let answer = client.full_duplex_call(call.request(messages)).await;
        let mut answers = answer.expect("it succeeds").into_inner();
        requests
            .send(output(1_000, &[2_000]))
            .await
            .expect("the call goes on");
        assert_eq!(next(&mut answers).await, 2_000);
        kill(&mut world, &mut client, &call).await;
        assert_lost(&world, answers.message().await).await;
        drop(requests);
    })
    .await;
}
