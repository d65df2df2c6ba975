//! Agents that stop.

use std::time::Duration;

use tokio::sync::oneshot;
use tunnel_tests::{
    raw::{
        RawGateway,
        message::{http_chunk, http_request, new_id},
    },
    wait::within_limit,
};
use tunnel_transport::{Agent, AgentError, Status};

use super::actor::{builder, echo, silent};

/// An agent that stops when the sender is dropped.
fn stoppable(
    agent: &Agent,
    service: impl tunnel_transport::AgentService + Sync,
) -> (
    oneshot::Sender<()>,
    tokio::task::JoinHandle<Result<(), AgentError>>,
) {
    let (stop, stopped) = oneshot::channel();
    let serve = agent.serve(service);
    let serve = serve.with_graceful_shutdown(async move { drop(stopped.await) });
    (stop, tokio::spawn(serve.into_future()))
}

#[tokio::test]
async fn an_agent_that_stops_finishes_what_it_has() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let agent = builder(&gateway).build().expect("the settings are good");
        let (stop, serving) = stoppable(&agent, echo());
        let mut session = gateway.accept_session().await;
        let running = new_id();
        session.lane.send(http_request(&running, "POST", "/")).await;
        session.lane.expect_response(&running).await;
        let ours = agent.connected().await;

        drop(stop);
        assert_eq!(session.control.expect_drain().await.deadline_ms, 30_000);
        let new = new_id();
        session.lane.send(http_request(&new, "POST", "/").end()).await;
        session.lane.expect_response(&new).await;
        assert!(!serving.is_finished());

        session.lane.send(http_chunk(&running, "the rest").end()).await;
        let chunk = session.lane.expect_chunk(&running).await;
        assert_eq!(&*chunk.data, b"the rest");
        if !chunk.end {
            assert!(session.lane.expect_chunk(&running).await.end);
        }
        session.control.expect_end().await;
        session.lane.expect_end().await;
        serving
            .await
            .expect("it does not panic")
            .expect("it stops without an error");
        session.connection.ended().await;
        assert_eq!((ours.pending(), agent.credit().used()), (0, 0));
        assert!(matches!(*agent.status().borrow(), Status::Stopped));
    })
    .await;
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let builder = builder(&gateway).drain_timeout(Duration::from_millis(20));
        let agent = builder.build().expect("the settings are good");
        let (stop, serving) = stoppable(&agent, silent());
        let mut session = gateway.accept_session().await;
        let running = new_id();
        session.lane.send(http_request(&running, "GET", "/").end()).await;
        session.lane.settle().await;
        let ours = agent.connected().await;
        assert_eq!(ours.pending(), 1);
        drop(stop);
        session.control.expect_drain().await;
        serving
            .await
            .expect("it does not panic")
            .expect("it stops without an error");
        assert_eq!(ours.pending(), 0);
        session.lane.read_to_end().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_not_connected_stops_at_once() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let agent = builder(&gateway).build().expect("the settings are good");
        let (stop, serving) = stoppable(&agent, echo());
        // It waits for the answer to its first call.
        let mut connection = gateway.accept().await;
        let _call = connection.call().await;
        drop(stop);
        serving
            .await
            .expect("it does not panic")
            .expect("it stops without an error");
        connection.ended().await;
    })
    .await;
}

#[tokio::test]
async fn dropping_what_serves_ends_the_session() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let agent = builder(&gateway).build().expect("the settings are good");
        let serving = tokio::spawn(agent.serve(silent()).into_future());
        let mut session = gateway.accept_session().await;
        session.lane.send(http_request(&new_id(), "GET", "/").end()).await;
        let ours = agent.connected().await;
        serving.abort();
        tunnel_tests::wait::closed(&ours).await;
        session.lane.read_to_end().await;
        session.control.read_to_end().await;
        session.connection.ended().await;
    })
    .await;
}
