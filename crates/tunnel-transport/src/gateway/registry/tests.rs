//! Groups, services and hosts as sessions come and go.

use tunnel_core::Lane;

use super::*;
use crate::{runtime::random, test_session::session};

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn entry(agent: &str, groups: &[&str], services: &[&str]) -> Entry {
    let session = session(agent);
    Entry {
        zone: None,
        stats: Member::new(session.clone(), 1).stats,
        session,
        credentials: "test".into(),
        lane_key: LaneKey::new(random()),
        groups: groups.iter().map(|name| group(name)).collect(),
        services: services.iter().map(|&name| name.into()).collect(),
        hosts: Vec::new(),
        weight: 1,
        control: mpsc::channel(1).0,
        config: StatusCell::default(),
        version: "test".into(),
        peer: None,
    }
}

fn owner(registry: &Registry, service: &str) -> Option<String> {
    registry.group_of(service).map(|group| group.to_string())
}

#[tokio::test]
async fn a_service_is_its_groups_while_the_group_has_it() {
    let registry = Registry::new();
    assert_eq!(owner(&registry, "s.One"), None);
    let first = registry
        .register(entry("first", &["a", "other"], &["s.One"]))
        .unwrap();
    let _rival = registry
        .register(entry("rival", &["b"], &["s.One", "s.Two"]))
        .unwrap();
    let second = registry.register(entry("second", &["a"], &["s.One"])).unwrap();
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("a"));
    assert_eq!(owner(&registry, "s.Two").as_deref(), Some("b"));
    drop(first);
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("a"));
    drop(second);
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("b"));
    let _late = registry.register(entry("late", &["a"], &["s.One"])).unwrap();
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("b"));
    drop(_rival);
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("a"));
    assert_eq!(owner(&registry, "s.Two"), None);
}

#[tokio::test]
async fn a_session_that_takes_the_place_of_a_dead_one_keeps_its_services() {
    let registry = Registry::new();
    let dead = entry("agent", &["a"], &["s.One"]);
    let suspected = dead.session.clone();
    let dead = registry.register(dead).unwrap();
    let _rival = registry.register(entry("rival", &["b"], &["s.One"])).unwrap();
    suspected.suspect(true);
    let _alive = registry.register(entry("agent", &["a"], &["s.One"])).unwrap();
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("a"));
    drop(dead);
    assert_eq!(owner(&registry, "s.One").as_deref(), Some("a"));
}

#[tokio::test]
async fn a_host_is_served_by_those_of_the_group_that_registered_it() {
    let with_hosts = |agent: &str, groups: &[&str], hosts: &[&str]| Entry {
        hosts: hosts.iter().map(|&host| host.into()).collect(),
        ..entry(agent, groups, &[])
    };
    let registry = Registry::new();
    let agents = |name: &str, host: &str| {
        let members = registry.members_with_host(&group(name), host);
        let has_host = registry.has_host(&group(name), host);
        assert_eq!(has_host, !members.is_empty());
        let names = members.iter().map(|member| member.session.agent().to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    let first = with_hosts("first", &["a", "b"], &["one.example", "both.example"]);
    let first = registry.register(first).unwrap();
    let second = with_hosts("second", &["a"], &["both.example"]);
    let _second = registry.register(second).unwrap();
    let _third = registry.register(entry("third", &["a"], &[])).unwrap();
    assert_eq!(agents("a", "one.example"), "first");
    assert_eq!(agents("a", "both.example"), "first second");
    assert_eq!(agents("b", "both.example"), "first");
    assert_eq!(
        (agents("a", "two.example"), agents("c", "one.example")),
        Default::default()
    );
    assert_eq!(registry.members(&group("a")).len(), 3);
    drop(first);
    assert_eq!(
        (agents("a", "one.example"), agents("a", "both.example")),
        (String::new(), "second".to_owned())
    );
    assert_eq!(agents("b", "both.example"), "");
}

#[tokio::test]
async fn a_group_can_carry_while_a_session_of_it_can() {
    let registry = Registry::new();
    assert_eq!(registry.can_carry(&group("a")), None);
    let first = entry("first", &["a"], &[]);
    let session = first.session.clone();
    let first = registry.register(first).unwrap();
    assert_eq!(registry.can_carry(&group("a")), Some(false));
    let lane: Lane = session.add_lane(0).unwrap();
    assert_eq!(registry.can_carry(&group("a")), Some(true));
    session.suspect(true);
    assert_eq!(registry.can_carry(&group("a")), Some(false));
    let second = entry("second", &["a"], &[]);
    let _other_lane = second.session.add_lane(0).unwrap();
    let second = registry.register(second).unwrap();
    assert_eq!(registry.can_carry(&group("a")), Some(true));
    drop(second);
    session.suspect(false);
    assert_eq!(registry.can_carry(&group("a")), Some(true));
    session.lose_lane(&lane, &TunnelError::canceled());
    assert_eq!(registry.can_carry(&group("a")), Some(false));
    drop(first);
    assert_eq!(registry.can_carry(&group("a")), Some(false));
    assert!(registry.members(&group("a")).is_empty());
}

#[tokio::test]
async fn groups_that_nobody_serves_are_not_remembered_without_bound() {
    let registry = Registry::new();
    let _stays = registry.register(entry("stays", &["stays"], &[])).unwrap();
    let names: Vec<_> = (0..=MAX_KNOWN_GROUPS).map(|n| format!("g{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let many = registry.register(entry("many", &names, &[])).unwrap();
    assert_eq!(registry.can_carry(&group("g0")), Some(false));
    drop(many);
    assert_eq!(registry.can_carry(&group("g0")), None);
    assert_eq!(registry.can_carry(&group("stays")), Some(false));
}

#[cfg(feature = "admin")]
impl Registry {
    /// As many agents as are wanted, each with a lane in all of these groups, the first 60 in one of their own as well. They are there while what this gives is.
    pub(crate) fn fill(&self, agents: usize, groups: &[&str]) -> Vec<Box<dyn std::any::Any>> {
        let one = |number: usize| {
            let own = format!("group-{number}");
            let own = (number < 60).then_some(own.as_str());
            let groups: Vec<&str> = groups.iter().copied().chain(own).collect();
            let entry = entry(&format!("agent-{number:04}"), &groups, &[]);
            let lane = entry.session.add_lane(0).unwrap();
            let place = self.register(entry).unwrap();
            Box::new((place, lane)) as Box<dyn std::any::Any>
        };
        (0..agents).map(one).collect()
    }
}
