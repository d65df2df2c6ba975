//! What a gateway tells.

use std::collections::BTreeMap;

use metrics::gauge;
use tunnel_core::Session;

use super::{MAX_GROUPS, Seen, names, sessions};
use crate::{Gateway, gateway::AgentStatus};

/// What stands for groups beyond the bound.
const OTHER: &str = "other";

pub(super) fn report(gateway: &Gateway, seen: &mut Seen) {
    let agents = gateway.agents().list();
    let open: Vec<Session> = agents.iter().map(|agent| agent.session.clone()).collect();
    sessions::report(names::GATEWAY, &open, gateway.tally(), &gateway.credit());
    groups(&agents, seen);
    configs(gateway, &agents, seen);
}

/// Whether a request could be carried, which the admin interface knows: it depends on the rules.
#[cfg(feature = "admin")]
pub(crate) fn ready(is_ready: bool) {
    gauge!(names::READY, "role" => names::GATEWAY).set(f64::from(u8::from(is_ready)));
}

fn groups(agents: &[AgentStatus], seen: &mut Seen) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for group in agents.iter().flat_map(|agent| &agent.groups) {
        let name = label(group.as_str(), &mut seen.groups);
        *counts.entry(name).or_default() += 1;
    }
    for group in &seen.groups {
        let count = counts.get(group.as_str()).copied().unwrap_or_default();
        gauge!(names::GROUP_SESSIONS, "group" => group.clone()).set(count as f64);
    }
    if let Some(count) = counts.get(OTHER) {
        gauge!(names::GROUP_SESSIONS, "group" => OTHER).set(*count as f64);
    }
}

/// The label for a group, of which there are so many at most.
fn label<'a>(group: &'a str, seen: &mut std::collections::BTreeSet<String>) -> &'a str {
    if seen.contains(group) {
        return group;
    }
    if seen.len() >= MAX_GROUPS {
        return OTHER;
    }
    seen.insert(group.to_owned());
    group
}

fn configs(gateway: &Gateway, agents: &[AgentStatus], seen: &mut Seen) {
    let versions = gateway.agent_configs().versions();
    for (group, version) in &versions {
        let name = label(group.as_str(), &mut seen.configs).to_owned();
        gauge!(names::CONFIG_VERSION, "role" => names::GATEWAY, "group" => name).set(*version as f64);
    }
    let mut states = [("current", 0_usize), ("behind", 0), ("refused", 0)];
    for agent in agents.iter().filter(|agent| agent.config.sent > 0) {
        let place = match &agent.config {
            config if config.refused.is_some() => 2,
            config if config.running >= config.sent => 0,
            _ => 1,
        };
        states[place].1 += 1;
    }
    for (state, count) in states {
        gauge!(names::CONFIG_AGENTS, "state" => state).set(count as f64);
    }
}
