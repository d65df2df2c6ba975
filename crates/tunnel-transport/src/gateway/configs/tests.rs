use tokio::sync::mpsc;
use tokio_test::{assert_pending, task};
use tonic::Status;
use tunnel_core::GroupName;

use super::*;
use crate::{
    dispatch::channel,
    generated::{self as pb, tunnel_message::Payload},
};

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn set(configs: &AgentConfigs, groups: &[(&str, &'static str)]) -> u64 {
    let groups = groups
        .iter()
        .map(|(name, text)| (group(name), Bytes::from_static(text.as_bytes())));
    configs.replace(groups).unwrap()
}

fn sent(receiver: &mut mpsc::Receiver<Result<pb::TunnelMessage, Status>>) -> Option<(u64, String)> {
    match receiver.try_recv().ok()?.unwrap().payload? {
        Payload::ConfigSync(update) => {
            Some((update.version, String::from_utf8(update.config.to_vec()).unwrap()))
        }
        other => panic!("{other:?}"),
    }
}

fn state(applied_version: u64, refused_version: u64, error: &str) -> pb::ConfigState {
    pb::ConfigState {
        applied_version,
        refused_version,
        error: error.to_owned(),
    }
}

#[test]
fn versions_grow_with_what_has_changed() {
    let configs = AgentConfigs::new();
    assert_eq!(set(&configs, &[]), 0, "there never was one");
    let first = set(&configs, &[("web", "a"), ("api", "b")]);
    assert_eq!(set(&configs, &[("api", "b"), ("web", "a")]), first, "as it was");
    let second = set(&configs, &[("web", "a2"), ("api", "b")]);
    assert!(second > first && first > 1_000_000_000_000, "{first} {second}");
    let of = |name: &str, than| configs.newer(&[group(name)], than).map(|update| update.version);
    assert_eq!(
        (of("web", 0), of("api", 0), of("none", 0)),
        (Some(second), Some(first), None)
    );
    assert_eq!(of("api", first), None, "nothing has changed for it");
    let third = set(&configs, &[("web", "a2")]);
    let gone = configs.newer(&[group("api")], first).unwrap();
    assert_eq!((gone.version, &gone.config[..]), (third, &b""[..]));
    let both = configs.newer(&[group("web"), group("api")], 0).unwrap();
    assert_eq!((both.version, &both.config[..]), (third, &b"---\na2\n"[..]));
}

#[test]
fn what_is_too_large_changes_nothing() {
    let configs = AgentConfigs::new();
    let version = set(&configs, &[("web", "a")]);
    let large = Bytes::from(vec![b'#'; MAX_CONFIG_BYTES - 3]);
    let error = configs.replace([(group("web"), large)]).unwrap_err();
    assert!(error.to_string().contains("65537 bytes"), "{error}");
    assert_eq!(configs.version(), version);
}

#[test]
fn one_at_a_time_is_sent_and_then_the_newest() {
    let (configs, cell) = (AgentConfigs::new(), StatusCell::default());
    let (replies, mut receiver) = channel();
    let mut pushes = Pushes::new(&configs, vec![group("web")], replies, cell.clone());
    let poll = |pushes: &mut Pushes| assert_pending!(task::spawn(pushes.run()).poll());
    poll(&mut pushes);
    assert_eq!(sent(&mut receiver), None);
    let first = set(&configs, &[("web", "1")]);
    poll(&mut pushes);
    assert_eq!(sent(&mut receiver), Some((first, "---\n1\n".to_owned())));
    set(&configs, &[("web", "2")]);
    let third = set(&configs, &[("web", "3")]);
    poll(&mut pushes);
    assert_eq!(sent(&mut receiver), None, "the first has not been answered");

    pushes.answered(state(first, 0, ""));
    poll(&mut pushes);
    assert_eq!(sent(&mut receiver), Some((third, "---\n3\n".to_owned())));
    pushes.answered(state(first, third, "no such upstream"));
    poll(&mut pushes);
    assert_eq!(sent(&mut receiver), None, "a refused one is not sent again");
    let refused = ConfigRefusal {
        version: third,
        why: "no such upstream".to_owned(),
    };
    let status = ConfigStatus {
        sent: third,
        running: first,
        refused: Some(refused),
    };
    assert_eq!(cell.status(), status);
}

#[test]
fn a_long_reason_is_cut() {
    let cell = StatusCell::default();
    cell.said(state(0, 1, &"ä".repeat(10_000)));
    assert_eq!(cell.status().refused.unwrap().why.len(), 4096);
}

#[test]
fn a_call_gets_what_is_newer() {
    let configs = AgentConfigs::new();
    let version = set(&configs, &[("web", "1")]);
    let call = |state| answer(&configs, &[group("web")], state).map(|update| update.version);
    assert_eq!(call(None), Some(version));
    assert_eq!(call(Some(state(version, 0, ""))), None);
    assert_eq!(call(Some(state(1, version, "no"))), None);
    assert_eq!(call(Some(state(version - 1, 0, ""))), Some(version));
}
