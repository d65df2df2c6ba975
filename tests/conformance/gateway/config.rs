//! Configurations that a gateway has for its agents.

use tonic::Code as StatusCode;
use tunnel_core::GroupName;
use tunnel_tests::{
    raw::{Pace, RawAgent, RawSession, hello, message},
    wait::{eventually, within_limit},
};
use tunnel_transport::{
    Gateway,
    gateway::{ConfigRefusal, ConfigStatus},
    wire::{self as pb, tunnel_message::Payload},
};

use crate::stage::Stage;

fn gateway() -> Gateway {
    Gateway::builder().open_to_any_agent().build()
}

fn set(gateway: &Gateway, groups: &[(&str, &'static str)]) -> u64 {
    let groups = groups.iter().map(|(group, text)| {
        let group: GroupName = group.parse().expect("a name");
        (group, *text)
    });
    gateway.agent_configs().replace(groups).expect("it is small")
}

async fn pushed(raw: &mut RawSession) -> (u64, String) {
    match raw.control.next().await.expect("it is open").payload {
        Some(Payload::ConfigSync(update)) => {
            let text = String::from_utf8(update.config.to_vec()).expect("a text");
            (update.version, text)
        }
        other => panic!("{other:?}"),
    }
}

async fn answer(raw: &RawSession, applied_version: u64, refused_version: u64, error: &str) {
    let state = pb::ConfigState {
        applied_version,
        refused_version,
        error: error.to_owned(),
    };
    raw.control
        .send(message::control(Payload::ConfigSyncResponse(state)))
        .await;
}

fn status(gateway: &Gateway) -> ConfigStatus {
    gateway.agents().list()[0].config.clone()
}

#[tokio::test]
async fn what_changes_is_pushed_and_what_agents_say_of_it_is_known() {
    within_limit(async {
        let gateway = gateway();
        let stage = Stage::with(gateway.clone()).await;
        let first = set(&gateway, &[("demo", "a: 1"), ("other", "b: 1")]);
        let agent = RawAgent::dial(stage.addr).await;
        let mut raw = agent.register(None, hello("a", &["demo"]), Pace::Together).await;
        assert_eq!(pushed(&mut raw).await, (first, "---\na: 1\n".to_owned()));
        answer(&raw, first, 0, "").await;
        eventually(|| status(&gateway).running == first).await;

        // What is for others is not pushed, and of two changes at once the last is.
        set(&gateway, &[("demo", "a: 1"), ("other", "b: 2")]);
        set(&gateway, &[("demo", "a: 2"), ("other", "b: 2")]);
        let (second, text) = pushed(&mut raw).await;
        assert_eq!(text, "---\na: 2\n");
        let third = set(&gateway, &[("demo", "a: 3")]);
        answer(&raw, first, second, "a cannot be 2").await;
        assert_eq!(pushed(&mut raw).await, (third, "---\na: 3\n".to_owned()));
        let refused = ConfigRefusal {
            version: second,
            why: "a cannot be 2".to_owned(),
        };
        let expected = ConfigStatus {
            sent: third,
            running: first,
            refused: Some(refused),
        };
        assert_eq!(status(&gateway), expected);
        answer(&raw, third, 0, "").await;
        eventually(|| status(&gateway).refused.is_none()).await;
        assert!(first < second && second < third);
    })
    .await;
}

#[tokio::test]
async fn the_call_answers_what_is_newer_to_the_owner_of_a_session() {
    within_limit(async {
        let gateway = gateway();
        let stage = Stage::with(gateway.clone()).await;
        let agent = RawAgent::dial(stage.addr).await;
        let raw = agent.register(None, hello("a", &["demo"]), Pace::Together).await;
        let ask = async |key: Vec<u8>, applied_version: u64| {
            let request = pb::ConfigSyncRequest {
                session_id: raw.opened.session_id.clone(),
                lane_key: key.into(),
                state: Some(pb::ConfigState {
                    applied_version,
                    ..Default::default()
                }),
            };
            raw.agent.config_sync(request).await.map(|answer| answer.update)
        };
        let key = raw.opened.lane_key.to_vec();
        assert_eq!(ask(key.clone(), 0).await.unwrap(), None, "there is none");
        let version = set(&gateway, &[("demo", "a: 1")]);
        let update = ask(key.clone(), 0).await.unwrap().unwrap();
        assert_eq!(
            (update.version, &update.config[..]),
            (version, &b"---\na: 1\n"[..])
        );
        assert_eq!(ask(key, version).await.unwrap(), None);
        let refused = ask(vec![0; 16], 0).await.unwrap_err();
        assert_eq!(refused.code(), StatusCode::PermissionDenied);
    })
    .await;
}
