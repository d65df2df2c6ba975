//! How a session ends: by the agent, by the connection, by the gateway.

use std::time::Duration;

use tokio::{net::TcpListener, sync::oneshot};
use tunnel_core::{Cause, Sent, TunnelBody};
use tunnel_tests::{
    call::{collect, get, open, request},
    raw::{Pace, RawAgent, hello, message},
    wait::{closed, idle, within_limit},
};
use tunnel_transport::{
    Gateway,
    wire::{error_message::Code, tunnel_message::Payload},
};

use crate::stage::{Joined, Stage};

#[tokio::test]
async fn the_session_ends_with_its_control_stream() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        for politely in [true, false] {
            let Joined { mut raw, session } = stage.join("a").await;
            let pending = get(&session, "/");
            raw.lane.expect_request().await;
            if politely {
                raw.control.end();
            } else {
                drop(raw.control);
            }
            assert_eq!(closed(&session).await.cause(), Cause::AgentLost);
            let error = pending.answer().await.expect_err("nobody can answer any more");
            assert_eq!((error.cause(), error.sent()), (Cause::AgentLost, Sent::Yes));
            assert!(stage.find(session.id()).is_none());
            raw.lane.read_to_end().await;
        }
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn the_session_ends_with_its_connection() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let Joined { mut raw, session } = stage.join("a").await;
        let pending = get(&session, "/");
        raw.lane.expect_request().await;
        drop(raw);
        assert_eq!(closed(&session).await.cause(), Cause::AgentLost);
        pending.answer().await.expect_err("nobody can answer any more");
        assert!(stage.find(session.id()).is_none());
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_draining_agent_gets_nothing_new_and_finishes_what_it_has() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let pending = get(&agent.session, "/");
        let running = agent.raw.lane.expect_request().await;
        agent.raw.control.send(message::drain()).await;
        agent.raw.control.settle().await;
        assert!(agent.session.is_draining());
        let head = request(http::Method::GET, "/new");
        let error = open(&agent.session, head, TunnelBody::empty()).expect_err("it is stopping");
        assert_eq!((error.cause(), error.sent()), (Cause::Draining, Sent::No));

        agent
            .raw
            .lane
            .send(message::http_response(&running.id, 200).body("done").end())
            .await;
        let (_, body) = pending.answer().await.expect("what it has is finished");
        assert_eq!(collect(body).await.expect("the body is whole"), "done");
        idle(&agent.session).await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_stopping_gateway_finishes_what_is_open_and_tells_its_agents() {
    within_limit(async {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let addr = listener.local_addr().expect("the port is open");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = gateway
            .serve_agents(listener)
            .drain(Duration::from_secs(60))
            .with_graceful_shutdown(async { drop(stopped.await) });
        let server = tokio::spawn(server.into_future());
        let mut raw = RawAgent::dial(addr)
            .await
            .register(None, hello("a", &["demo"]), Pace::Together)
            .await;
        let session = gateway.agents().list()[0].session.clone();
        let pending = get(&session, "/");
        let running = raw.lane.expect_request().await;

        drop(stop);
        // The first that shows it is that a newcomer is sent away.
        let newcomer = loop {
            let agent = RawAgent::dial(addr).await;
            let mut control = agent.control_stream(None).await.expect("the call is answered");
            let open = Payload::StreamOpen(hello("b", &["demo"]));
            control.send(message::control(open)).await;
            let answer = control.next().await.expect("an answer");
            if let Some(Payload::ErrorMessage(error)) = answer.payload {
                break error;
            }
        };
        assert_eq!(newcomer.code(), Code::Draining);
        assert!(newcomer.retry_after_ms > 0);

        raw.lane
            .send(message::http_response(&running.id, 200).body("done").end())
            .await;
        let (_, body) = pending.answer().await.expect("what is open is finished");
        assert_eq!(collect(body).await.expect("the body is whole"), "done");
        assert_eq!(raw.control.expect_drain().await.deadline_ms, 60_000);
        let goodbye = raw.control.expect_error().await;
        assert_eq!(goodbye.code(), Code::Draining);
        raw.control.expect_end().await;
        drop(raw);
        server.await.expect("the server ends by itself");
        assert!(gateway.agents().list().is_empty());
        assert_eq!((session.pending(), gateway.credit().used()), (0, 0));
    })
    .await;
}
