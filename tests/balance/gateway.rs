//! Through a real gateway and real agents: what it learns about them, and what a rule sends again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::sync::Notify;
use tunnel_core::{Agents as _, RetryPolicy};
use tunnel_layers::route::Rule;
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{GROUP, Tunnel, group},
    wait::within_limit,
};

#[tokio::test]
async fn an_agent_says_where_it_is() {
    within_limit(async {
        let mut tunnel = Tunnel::builder().start().await;
        tunnel
            .run_agent(tunnel.agent(GROUP).zone("eu-1"), Router::new())
            .await;
        let members = tunnel.gateway.agents().members(&group(GROUP));
        assert_eq!(members[0].zone.as_deref(), Some("eu-1"));
        assert_eq!(tunnel.gateway.agents().list()[0].zone.as_deref(), Some("eu-1"));
    })
    .await;
}

/// What agents have been asked, in all.
#[derive(Clone, Default)]
struct Seen {
    calls: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Seen {
    fn take(&self) -> (usize, usize) {
        (
            self.calls.swap(0, Ordering::Relaxed),
            self.bytes.swap(0, Ordering::Relaxed),
        )
    }

    /// Reads the whole body, and fails the first of two calls.
    fn app(&self) -> Router {
        let seen = self.clone();
        Router::new().fallback(async move |body: Bytes| {
            seen.bytes.fetch_add(body.len(), Ordering::Relaxed);
            match seen.calls.fetch_add(1, Ordering::Relaxed) {
                0 => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::OK,
            }
        })
    }
}

fn request(method: Method, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri("/");
    request.body(body.into()).expect("a request")
}

#[tokio::test]
async fn a_rule_sends_again_what_it_names_with_its_whole_body() {
    within_limit(async {
        let policy = RetryPolicy::new(2).max_body(100_000);
        let rule = Rule::group("all", group(GROUP)).retry(policy);
        let mut tunnel = Tunnel::builder().rules([rule]).start().await;
        let seen = Seen::default();
        for _ in 0..2 {
            tunnel.add_agent(GROUP, seen.app()).await;
        }
        for version in [Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, tunnel.addr).await;
            for (method, size, expected) in [
                (Method::PUT, 0, (200, 2)),
                (Method::PUT, 100_000, (200, 2)),
                (Method::PUT, 100_001, (503, 1)),
                (Method::POST, 10, (503, 1)),
            ] {
                let answer = client.send(request(method.clone(), vec![7; size])).await;
                let answer = answer.expect("an answer");
                let status = answer.status().as_u16();
                answer.into_body().collect().await.expect("a whole body");
                let (calls, bytes) = seen.take();
                assert_eq!(
                    ((status, calls), bytes),
                    (expected, calls * size),
                    "{method} {size}"
                );
            }
        }
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_sends_again_what_an_agent_had_when_it_was_lost() {
    within_limit(async {
        let rule = Rule::group("all", group(GROUP)).retry(RetryPolicy::new(2));
        let mut tunnel = Tunnel::builder().rules([rule]).start().await;
        let (calls, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        for _ in 0..2 {
            let (calls, asked) = (calls.clone(), asked.clone());
            let app = Router::new().fallback(async move || {
                // The first call is never answered.
                if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                    asked.notify_one();
                    std::future::pending::<()>().await;
                }
            });
            tunnel.add_agent(GROUP, app).await;
        }
        let mut client = Client::connect(Version::Http1, tunnel.addr).await;
        let answer = tokio::spawn(async move { client.send(request(Method::GET, "")).await });
        asked.notified().await;
        let sessions = tunnel.sessions(GROUP);
        let busy = sessions
            .iter()
            .find(|session| session.pending() > 0)
            .expect("one has it");
        let lost = tunnel_core::TunnelError::new(
            tunnel_core::Cause::AgentLost,
            tunnel_core::Initiator::Peer,
            "killed",
        );
        busy.close(&lost);
        let answer = answer.await.expect("no panic").expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), calls.load(Ordering::Relaxed)),
            (200, 2)
        );
    })
    .await;
}
