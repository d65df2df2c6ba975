//! How an agent gets a session, and how it does not.

use tonic::Code as StatusCode;
use tunnel_core::AgentId;
use tunnel_tests::{
    raw::{Pace, RawAgent, RawStream, hello, message},
    wait::within_limit,
};
use tunnel_transport::{
    AgentTokens, AllowedGroups, Gateway,
    wire::{self as pb, error_message::Code, tunnel_message::Payload},
};

use crate::stage::Stage;

const OLD: &str = "the-old-token-0123456789";
const NEW: &str = "the-new-token-0123456789";

fn guarded() -> Gateway {
    let demo = AllowedGroups::Only(["demo".parse().expect("a name")].into());
    let tokens = AgentTokens::new()
        .token("old", OLD, demo)
        .and_then(|tokens| tokens.token("new", NEW, AllowedGroups::All))
        .expect("the tokens are good");
    Gateway::builder().agent_auth(tokens).id("gateway-1").build()
}

async fn say(agent: &RawAgent, payload: Payload) -> RawStream {
    let control = agent.control_stream(None).await.expect("the call is answered");
    control.send(message::control(payload)).await;
    control
}

/// The answer to a `stream_open` that must not be taken.
async fn refused(open: pb::StreamOpen) -> pb::ErrorMessage {
    let stage = Stage::open().await;
    let agent = RawAgent::dial(stage.addr).await;
    let mut control = say(&agent, Payload::StreamOpen(open)).await;
    let error = control.expect_error().await;
    assert!(control.expect_end().await.0.is_none());
    assert!(stage.gateway.agents().list().is_empty());
    stage.finish().await;
    error
}

#[tokio::test]
async fn an_agent_is_told_all_that_it_needs() {
    within_limit(async {
        let stage = Stage::with(guarded()).await;
        let agent = RawAgent::dial(stage.addr).await;
        let raw = agent
            .register(Some(OLD), hello("a-1", &["demo"]), Pace::Together)
            .await;
        let opened = &raw.opened;
        assert_eq!((opened.revision, opened.features), (1, 0));
        assert_eq!(opened.lane_key.len(), 16);
        assert_eq!(opened.settings, Some(message::settings()));
        assert_eq!(
            (opened.heartbeat_interval_ms, opened.heartbeat_timeout_ms),
            (5_000, 20_000)
        );
        assert_eq!((opened.max_lanes, &*opened.gateway_id), (8, "gateway-1"));

        let agents = stage.gateway.agents().list();
        let [agent] = agents.as_slice() else {
            panic!("one agent is registered")
        };
        assert_eq!(agent.session.id(), raw.id());
        assert_eq!(agent.session.agent(), &"a-1".parse::<AgentId>().expect("a name"));
        assert_eq!(agent.groups, ["demo".parse().expect("a name")]);
        assert!(agent.session.is_available() && !agent.suspect);
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn calls_are_answered_before_anything_is_said() {
    within_limit(async {
        let stage = Stage::open().await;
        let agent = RawAgent::dial(stage.addr).await;
        // Each of these returns only when the head of the response has come.
        let _control = agent.control_stream(None).await.expect("the call is answered");
        let _lane = agent.proxy(Pace::Together).await.expect("the call is answered");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_token_and_none_are_unauthenticated() {
    within_limit(async {
        let stage = Stage::with(guarded()).await;
        let agent = RawAgent::dial(stage.addr).await;
        let wrong = agent
            .control_stream(Some("the-wrong-token-0123456789"))
            .await
            .expect_err("refused");
        assert_eq!(wrong.code(), StatusCode::Unauthenticated);
        assert!(wrong.message().contains("token is not valid"), "{wrong}");
        let none = agent.control_stream(None).await.expect_err("refused");
        assert_eq!(none.code(), StatusCode::Unauthenticated);
        assert!(none.message().contains("authorization: Bearer"), "{none}");
        assert!(stage.gateway.agents().list().is_empty());
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn several_tokens_are_valid_at_once() {
    within_limit(async {
        let stage = Stage::with(guarded()).await;
        let mut sessions = Vec::new();
        for (token, group) in [(OLD, "demo"), (NEW, "demo"), (NEW, "another")] {
            let agent = RawAgent::dial(stage.addr).await;
            sessions.push(
                agent
                    .register(Some(token), hello("a", &[group]), Pace::Together)
                    .await,
            );
        }
        assert_eq!(stage.gateway.agents().list().len(), 3);
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_is_good_for_its_groups_only() {
    within_limit(async {
        let stage = Stage::with(guarded()).await;
        let agent = RawAgent::dial(stage.addr).await;
        let mut control = agent.control_stream(Some(OLD)).await.expect("the token is valid");
        let open = Payload::StreamOpen(hello("a", &["demo", "another"]));
        control.send(message::control(open)).await;
        let error = control.expect_error().await;
        assert_eq!(error.code(), Code::GroupNotAllowed);
        assert!(error.message.contains("another"), "{}", error.message);
        control.expect_end().await;
        assert!(stage.gateway.agents().list().is_empty());
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn the_first_message_must_be_stream_open() {
    within_limit(async {
        let stage = Stage::open().await;
        let agent = RawAgent::dial(stage.addr).await;
        let mut control = say(&agent, Payload::Drain(pb::Drain::default())).await;
        let error = control.expect_error().await;
        assert_eq!(error.code(), Code::Invalid);
        assert!(error.message.contains("stream_open"), "{}", error.message);
        control.expect_end().await;

        let mut silent = agent.control_stream(None).await.expect("the call is answered");
        silent.end();
        assert_eq!(silent.expect_error().await.code(), Code::Invalid);
        silent.expect_end().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn fields_without_a_valid_value_are_named() {
    within_limit(async {
        let hello = || hello("a", &["demo"]);
        let cases = [
            (
                "agent_id",
                pb::StreamOpen {
                    agent_id: "a b".to_owned(),
                    ..hello()
                },
            ),
            (
                "agent_id",
                pb::StreamOpen {
                    agent_id: String::new(),
                    ..hello()
                },
            ),
            (
                "instance_id",
                pb::StreamOpen {
                    instance_id: "1".to_owned(),
                    ..hello()
                },
            ),
            (
                "groups",
                pb::StreamOpen {
                    groups: vec!["de/mo".to_owned()],
                    ..hello()
                },
            ),
            (
                "groups",
                pb::StreamOpen {
                    groups: Vec::new(),
                    ..hello()
                },
            ),
        ];
        for (field, open) in cases {
            let error = refused(open).await;
            assert_eq!(error.code(), Code::Invalid);
            assert!(error.message.contains(field), "{}", error.message);
        }
    })
    .await;
}

#[tokio::test]
async fn settings_out_of_their_bounds_are_invalid() {
    within_limit(async {
        let settings = message::settings;
        let cases = [
            ("settings", None),
            (
                "initial_credit",
                Some(pb::Settings {
                    initial_credit: 0,
                    ..settings()
                }),
            ),
            (
                "max_chunk",
                Some(pb::Settings {
                    max_chunk: 1_023,
                    ..settings()
                }),
            ),
            (
                "max_chunk",
                Some(pb::Settings {
                    max_chunk: 65_537,
                    ..settings()
                }),
            ),
            (
                "max_exchanges",
                Some(pb::Settings {
                    max_exchanges: 0,
                    ..settings()
                }),
            ),
            (
                "max_head_bytes",
                Some(pb::Settings {
                    max_head_bytes: 4_095,
                    ..settings()
                }),
            ),
            (
                "max_fields",
                Some(pb::Settings {
                    max_fields: 513,
                    ..settings()
                }),
            ),
        ];
        for (field, settings) in cases {
            let error = refused(pb::StreamOpen {
                settings,
                ..hello("a", &["demo"])
            })
            .await;
            assert_eq!(error.code(), Code::Invalid, "{field}");
            assert!(error.message.contains(field), "{}", error.message);
        }
    })
    .await;
}

#[tokio::test]
async fn revision_0_is_refused_and_a_newer_one_is_taken() {
    within_limit(async {
        let error = refused(pb::StreamOpen {
            revision: 0,
            ..hello("a", &["demo"])
        })
        .await;
        assert_eq!(error.code(), Code::UnsupportedRevision);

        let stage = Stage::open().await;
        let agent = RawAgent::dial(stage.addr).await;
        let newer = pb::StreamOpen {
            revision: 7,
            features: u64::MAX,
            ..hello("a", &["demo"])
        };
        let raw = agent.register(None, newer, Pace::Together).await;
        assert_eq!((raw.opened.revision, raw.opened.features), (1, 1));
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn one_process_has_one_session_and_another_of_the_same_name_is_welcome() {
    within_limit(async {
        let stage = Stage::open().await;
        let first = hello("a", &["demo"]);
        let agent = RawAgent::dial(stage.addr).await;
        let first_session = agent.register(None, first.clone(), Pace::Together).await;

        let agent = RawAgent::dial(stage.addr).await;
        let mut control = say(&agent, Payload::StreamOpen(first)).await;
        let error = control.expect_error().await;
        assert_eq!(error.code(), Code::AlreadyConnected);
        assert!(error.retry_after_ms > 0);
        control.expect_end().await;

        let other = stage.join("a").await;
        assert_eq!(stage.gateway.agents().list().len(), 2);
        assert_ne!(other.raw.id(), first_session.id());
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_stolen_instance_id_does_not_keep_its_owner_out() {
    within_limit(async {
        let stage = Stage::with(guarded()).await;
        let owner = hello("a", &["demo"]);
        let thief = RawAgent::dial(stage.addr).await;
        let _thief = thief.register(Some(NEW), owner.clone(), Pace::Together).await;
        let agent = RawAgent::dial(stage.addr).await;
        let _owner = agent.register(Some(OLD), owner, Pace::Together).await;
        assert_eq!(stage.gateway.agents().list().len(), 2);
        stage.finish().await;
    })
    .await;
}
