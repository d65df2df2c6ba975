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

fn with_host() -> pb::StreamOpen {
    pb::StreamOpen {
        hosts: vec!["www.demo.example".to_owned()],
        ..hello("a", &["demo"])
    }
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
            Ok(alice().with_claim("hosts", ["another.example"])),
            Ok(Principal::new("bob", "test").with_claim("groups", ["*"])),
        ] {
            let say: Say = Arc::new(Mutex::new(Ok(alice())));
            let stage = Stage::with(guarded(&say)).await;
            let agent = RawAgent::dial(stage.addr).await;
            let mut raw = agent.register(Some(TOKEN), with_host(), Pace::Together).await;
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

/// A gateway that looks at credentials when others are shown, and knows who shows which.
fn by_token(seen: Arc<Mutex<Vec<String>>>) -> Gateway {
    let check = auth_fn(move |parts: AuthParts| {
        let shown = parts.headers.get("authorization");
        let shown = shown.map(|shown| String::from_utf8_lossy(shown.as_bytes()).into_owned());
        let shown = shown.unwrap_or_else(|| "nothing".to_owned());
        seen.lock().expect("nobody panics with it").push(shown.clone());
        async move {
            match shown.strip_prefix("Bearer ") {
                Some(token) if token == TOKEN || token.starts_with("alice") => Ok(alice()),
                Some("less") => Ok(alice().with_claim("services", ["other.*"])),
                Some("bob") => Ok(Principal::new("bob", "test").with_claim("groups", ["*"])),
                Some("later") => Err(Rejection::unavailable("the server is down")),
                _ => Err(Rejection::invalid("the token is not valid")),
            }
        }
    });
    Gateway::builder()
        .agent_auth(AgentAuthenticator::by_claims(check))
        .recheck_agents(Duration::from_secs(3_600))
        .build()
}

fn credentials(authorization: &'static [u8]) -> pb::TunnelMessage {
    let authorization = authorization.into();
    message::control(Payload::Credentials(pb::Credentials { authorization })).into()
}

fn with_service() -> pb::StreamOpen {
    pb::StreamOpen {
        services: vec!["demo.Greeter".to_owned()],
        ..hello("a", &["demo"])
    }
}

#[tokio::test]
async fn new_credentials_of_the_same_agent_take_the_place_of_the_old() {
    within_limit(async {
        let seen = Arc::default();
        let stage = Stage::with(by_token(Arc::clone(&seen))).await;
        let agent = RawAgent::dial(stage.addr).await;
        let raw = agent.register(Some(TOKEN), with_service(), Pace::Together).await;
        let count = || seen.lock().expect("nobody panics with it").len();
        let before = count();
        for (index, shown) in [&b"Bearer alice-2"[..], b"Bearer later", b"Bearer alice-3"]
            .into_iter()
            .enumerate()
        {
            raw.control.send(credentials(shown)).await;
            while count() <= before + index {
                tokio::task::yield_now().await;
            }
        }
        let seen = seen.lock().expect("nobody panics with it").split_off(before);
        assert_eq!(seen, ["Bearer alice-2", "Bearer later", "Bearer alice-3"]);
        let agents = stage.gateway.agents().list();
        assert_eq!(agents.len(), 1);
        assert_eq!(agents[0].session.id(), raw.id());
        drop(raw);
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn new_credentials_that_do_not_do_end_the_session() {
    within_limit(async {
        for shown in [
            &b"Bearer bob"[..],
            b"Bearer less",
            b"Bearer x",
            b"",
            b"a\nb",
            b"\xff",
        ] {
            let stage = Stage::with(by_token(Arc::default())).await;
            let agent = RawAgent::dial(stage.addr).await;
            let mut raw = agent.register(Some(TOKEN), with_service(), Pace::Together).await;
            raw.control.send(credentials(shown)).await;
            let error = raw.control.expect_error().await;
            assert_eq!(error.code(), Code::Unauthenticated, "{shown:?}");
            raw.control.expect_end().await;
            assert!(stage.gateway.agents().list().is_empty());
            stage.finish().await;
        }
    })
    .await;
}

#[tokio::test]
async fn credentials_are_good_for_their_hosts_only_and_hosts_have_to_be_some() {
    within_limit(async {
        let say: Say = Arc::new(Mutex::new(Ok(alice().with_claim("hosts", ["*.demo.example"]))));
        let stage = Stage::with(guarded(&say)).await;
        for (host, code) in [
            ("www.other.example", Code::GroupNotAllowed),
            ("demo.example", Code::GroupNotAllowed),
            ("www.demo.example:80", Code::Invalid),
            ("*.demo.example", Code::Invalid),
            ("", Code::Invalid),
        ] {
            let agent = RawAgent::dial(stage.addr).await;
            let mut control = agent
                .control_stream(Some(TOKEN))
                .await
                .expect("the token is valid");
            let open = pb::StreamOpen {
                hosts: vec!["ok.demo.example".to_owned(), host.to_owned()],
                ..hello("a", &["demo"])
            };
            control.send(message::control(Payload::StreamOpen(open))).await;
            let error = control.expect_error().await;
            assert_eq!(error.code(), code, "{host:?}");
            assert!(error.message.contains(host), "{}", error.message);
            control.expect_end().await;
        }
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
