//! What happens when somebody leaves.

use std::{sync::atomic::Ordering, time::Duration};

use axum::body::Body;
use http::header;
use tower::ServiceExt as _;
use tunnel_core::{Cause, Initiator, TunnelError};
use tunnel_layers::target::ClientExt as _;
use tunnel_tests::{
    client::Version,
    tunnel::{GROUP, address, listener},
    wait::{eventually, within_limit},
    websocket::{Frame, handshake, open},
};
use tunnel_transport::{Agent, entry::Entry};

use crate::world::{World, ask, call, request, stuck};

fn lost() -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Tunnel, "a test")
}

#[tokio::test]
async fn who_asks_and_leaves_frees_whoever_answers() {
    within_limit(async {
        let world = World::new().await;
        let asking = tokio::spawn(world.edge.client().oneshot(stuck()));
        eventually(|| world.stuck.load(Ordering::SeqCst) == 1).await;
        asking.abort();
        eventually(|| world.stuck.load(Ordering::SeqCst) == 0).await;
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_lost_fails_what_was_asked_and_frees_whoever_answers() {
    within_limit(async {
        let world = World::new().await;
        let asking = tokio::spawn(world.edge.client().oneshot(stuck()));
        eventually(|| world.stuck.load(Ordering::SeqCst) == 1).await;
        let edge = world.tunnel.sessions(crate::world::EDGE).remove(0);
        edge.close(&lost());
        let answer = asking.await.expect("no panic").expect("it never fails");
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.headers()["x-tunnel-error"], "agent-lost");
        eventually(|| world.stuck.load(Ordering::SeqCst) == 0).await;
        assert_eq!(edge.pending(), 0);
        // The agent connects again, and asks again.
        eventually(|| world.edge.sessions().iter().any(|session| session.is_available())).await;
        world.edge.connected().await;
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_without_a_session_waits_for_none() {
    within_limit(async {
        let agent = Agent::builder("http://127.0.0.1:9")
            .group("edge")
            .build()
            .expect("an agent");
        let answer = ask(&agent, request("/any", Body::empty())).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.headers["x-tunnel-error"], "no-gateway");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
        let answer = ask(&agent, call()).await;
        assert_eq!(answer.headers["grpc-status"], "14");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_drains_takes_nothing_new_and_finishes_what_was_asked() {
    within_limit(async {
        let world = World::new().await;
        let (mut feed, fed) = tunnel_tests::body::fed();
        let asked = world.edge.client().oneshot(request("/any", fed)).await;
        let mut asked = asked.expect("it never fails").into_body();
        let session = world.edge.sessions().remove(0);
        session.drain();
        assert_eq!(ask(&world.edge, request("/any", Body::empty())).await.status, 503);
        feed.send_data("still here".into()).await.expect("it is read");
        assert_eq!(tunnel_tests::body::next(&mut asked).await, "still here");
        drop(feed);
        assert!(tunnel_tests::body::whole(asked).await.is_empty());
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_given_a_rest_asks_all_the_same() {
    within_limit(async {
        let world = World::new().await;
        let gateway = &world.tunnel.gateway;
        let asking = tokio::spawn(world.edge.client().oneshot(stuck()));
        eventually(|| world.stuck.load(Ordering::SeqCst) == 1).await;
        // Nothing that the gateway asks is open there, so this is over at once.
        let cut = gateway
            .drain_agent(world.edge.id(), Duration::from_secs(60))
            .await;
        assert_eq!(cut, 0);
        assert_eq!(ask(&world.edge, request("/any", Body::empty())).await.status, 200);
        assert!(!asking.is_finished());
        asking.abort();
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_websocket_breaks_off_with_the_session_of_whoever_answers() {
    within_limit(async {
        let world = World::new().await;
        let local = listener().await;
        let addr = address(&local);
        let serving = tokio::spawn(Entry::new().serve(local, world.edge.client()).into_future());
        let (_, mut socket) = open(Version::Http1, addr, handshake("/ws")).await.upgraded();
        socket.send(&Frame::text("ping")).await;
        assert_eq!(socket.recv().await, Frame::text("ping"));
        let app = world.tunnel.sessions(GROUP).remove(0);
        app.close(&lost());
        // The gateway, to whom the agent is a client, says why.
        assert_eq!(socket.recv().await.code(), Some(1012));
        drop(socket);
        world.settled().await;
        serving.abort();
    })
    .await;
}
