//! Credentials that are taken back, and agents that are known as callers are.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tonic::Code as StatusCode;
use tunnel_core::auth::{AuthParts, Principal, Rejection, auth_fn};
use tunnel_tests::{
    raw::{Pace, RawAgent, hello, message},
    wait::within_limit,
};
use tunnel_transport::{
    Gateway,
    gateway::AgentAuthenticator,
    wire::{self as pb, error_message::Code, tunnel_message::Payload},
};

use crate::stage::Stage;

const TOKEN: &str = "an-agents-token-0123456789";

/// What is said of everybody at the moment.
type Say = Arc<Mutex<Result<Principal, Rejection>>>;

fn alice() -> Principal {
    Principal::new("alice", "test")
        .with_claim("groups", ["demo"])
        .with_claim("services", ["demo.*"])
}

fn guarded(say: &Say) -> Gateway {
    counted(say, Arc::default())
}

/// With how often somebody was asked about.
fn counted(say: &Say, asked: Arc<AtomicUsize>) -> Gateway {
    let say = say.clone();
    let check = auth_fn(move |_: AuthParts| {
        let answer = say.lock().expect("nobody panics with it").clone();
        asked.fetch_add(1, Ordering::SeqCst);
        async move { answer }
    });
    Gateway::builder()
        .agent_auth(AgentAuthenticator::by_claims(check))
        .recheck_agents(Duration::from_millis(10))
        .build()
}

fn set(say: &Say, answer: Result<Principal, Rejection>) {
    *say.lock().expect("nobody panics with it") = answer;
}

#[tokio::test]
async fn a_session_ends_when_its_credentials_are_taken_back() {
    within_limit(async {
        for taken_back in [
            Err(Rejection::invalid("the token is not valid")),
            Ok(alice().with_claim("groups", ["another"])),
            Ok(Principal::new("bob", "test").with_claim("groups", ["*"])),
        ] {
            let say: Say = Arc::new(Mutex::new(Ok(alice())));
            let stage = Stage::with(guarded(&say)).await;
            let agent = RawAgent::dial(stage.addr).await;
            let mut raw = agent
                .register(Some(TOKEN), hello("a", &["demo"]), Pace::Together)
                .await;
            set(&say, taken_back);
            let error = raw.control.expect_error().await;
            assert_eq!(error.code(), Code::Unauthenticated);
            raw.control.expect_end().await;
            assert!(stage.gateway.agents().list().is_empty());
            stage.finish().await;
        }
    })
    .await;
}

#[tokio::test]
async fn while_nobody_can_say_sessions_go_on_and_new_ones_wait() {
    within_limit(async {
        let say: Say = Arc::new(Mutex::new(Ok(alice())));
        let asked = Arc::new(AtomicUsize::new(0));
        let stage = Stage::with(counted(&say, asked.clone())).await;
        let agent = RawAgent::dial(stage.addr).await;
        let raw = agent
            .register(Some(TOKEN), hello("a", &["demo"]), Pace::Together)
            .await;
        set(&say, Err(Rejection::unavailable("the server is down")));
        let other = RawAgent::dial(stage.addr).await;
        let refused = other.control_stream(Some(TOKEN)).await.expect_err("refused");
        assert_eq!(
            (refused.code(), refused.message()),
            (StatusCode::Unavailable, "the server is down")
        );
        let before = asked.load(Ordering::SeqCst);
        while asked.load(Ordering::SeqCst) < before + 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.gateway.agents().list().len(), 1);
        drop(raw);
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn credentials_are_good_for_their_services_only() {
    within_limit(async {
        let say: Say = Arc::new(Mutex::new(Ok(alice())));
        let stage = Stage::with(guarded(&say)).await;
        let agent = RawAgent::dial(stage.addr).await;
        let mut control = agent
            .control_stream(Some(TOKEN))
            .await
            .expect("the token is valid");
        let open = pb::StreamOpen {
            services: vec!["demo.Greeter".to_owned(), "other.Greeter".to_owned()],
            ..hello("a", &["demo"])
        };
        control.send(message::control(Payload::StreamOpen(open))).await;
        let error = control.expect_error().await;
        assert_eq!(error.code(), Code::GroupNotAllowed);
        assert!(error.message.contains("other.Greeter"), "{}", error.message);
        control.expect_end().await;
        stage.finish().await;
    })
    .await;
}
