//! How a session ends: by the agent, by the connection, by the gateway.

use std::{pin::pin, time::Duration};

use tokio::{net::TcpListener, sync::oneshot};
use tunnel_core::{Agents as _, Cause, Sent, TunnelBody};
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
        // Which tells the agent that nothing is on its way any more.
        agent.raw.lane.expect_end().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_leaves_says_so_and_serves_until_it_stops() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        assert!(stage.gateway.is_ready());
        for _ in 0..2 {
            stage.gateway.leave(Duration::from_secs(5));
            assert!(!stage.gateway.is_ready());
        }
        assert_eq!(agent.raw.control.expect_drain().await.deadline_ms, 5_000);
        agent.raw.control.settle().await;
        agent.round_trip().await;
        let newcomer = RawAgent::dial(stage.addr).await;
        let mut late = newcomer.control_stream(None).await.expect("an answer");
        late.send(message::control(Payload::StreamOpen(hello("b", &["demo"]))))
            .await;
        assert_eq!(late.expect_error().await.code(), Code::Draining);
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_at_rest_finishes_what_it_has_and_gets_nothing_until_it_is_resumed() {
    within_limit(async {
        let stage = Stage::open().await;
        let gateway = stage.gateway.clone();
        let (name, group) = ("a".parse().unwrap(), "demo".parse().unwrap());
        let members = || gateway.agents().members(&group).len();
        let mut agent = stage.join("a").await;
        let pending = get(&agent.session, "/");
        let running = agent.raw.lane.expect_request().await;
        let mut rest = pin!(gateway.drain_agent(&name, Duration::from_secs(60)));
        assert!(futures_util::poll!(&mut rest).is_pending());
        assert_eq!(members(), 0);
        let answer = message::http_response(&running.id, 200).end();
        agent.raw.lane.send(answer).await;
        pending.answer().await.expect("what it has is finished");
        assert_eq!(rest.await, 0);
        assert!(gateway.agents().list()[0].drained && agent.session.closed().is_none());
        // The next process of that name rests as well.
        let mut next = stage.join("a").await;
        assert_eq!(members(), 0);
        assert!(gateway.resume_agent(&name) && !gateway.resume_agent(&name));
        assert_eq!(members(), 2);

        // At the deadline what is open is cut.
        let pending = get(&next.session, "/");
        next.raw.lane.expect_request().await;
        assert_eq!(gateway.drain_agent(&name, Duration::from_millis(1)).await, 1);
        pending.answer().await.expect_err("it took too long");
        assert_eq!(next.raw.control.expect_error().await.code(), Code::Draining);
        assert!(agent.session.closed().is_none(), "it has nothing open");
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
