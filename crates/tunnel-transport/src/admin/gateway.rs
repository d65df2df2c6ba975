//! What a gateway knows, as it is told.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use tunnel_core::{AgentId, GroupName};

use super::{
    hooks::{Hooks, RuleTarget},
    sessions::{self, State},
    traffic, upstreams, view,
};
use crate::{Gateway, gateway::AgentStatus};

/// The agents, each with all of its sessions, by their names.
pub(super) fn agents(gateway: &Gateway) -> Vec<view::Agent> {
    let registry = gateway.agents();
    let mut agents = BTreeMap::<String, (State, view::Agent)>::new();
    for status in registry.list() {
        let state = State::of(&status.session, status.drained);
        let id = status.session.agent().to_string();
        let (best, agent) = agents.entry(id.clone()).or_insert_with(|| {
            let agent = view::Agent {
                id,
                drained: status.drained,
                ..view::Agent::default()
            };
            (State::Away, agent)
        });
        *best = state.min(*best);
        let session = session(&status, state);
        agent.in_flight += session.in_flight;
        for group in &session.groups {
            if !agent.groups.contains(group) {
                agent.groups.push(group.clone());
            }
        }
        agent.sessions.push(session);
    }
    for away in registry.drained() {
        agents.entry(away.to_string()).or_insert_with(|| {
            let agent = view::Agent {
                id: away.to_string(),
                drained: true,
                ..view::Agent::default()
            };
            (State::Away, agent)
        });
    }
    let done = |(state, mut agent): (State, view::Agent)| {
        state.word().clone_into(&mut agent.state);
        agent
            .sessions
            .sort_by_key(|session| std::cmp::Reverse(session.age_ms));
        agent
    };
    agents.into_values().map(done).collect()
}

/// One of them.
pub(super) fn agent(gateway: &Gateway, id: &str) -> Option<view::Agent> {
    agents(gateway).into_iter().find(|agent| agent.id == id)
}

fn session(status: &AgentStatus, state: State) -> view::Session {
    let texts = |names: &[std::sync::Arc<str>]| names.iter().map(ToString::to_string).collect();
    let config = &status.config;
    view::Session {
        address: status.address.map(|address| address.to_string()),
        version: status.version.to_string(),
        credentials: status.credentials.to_string(),
        groups: status.groups.iter().map(ToString::to_string).collect(),
        services: texts(&status.services),
        hosts: texts(&status.hosts),
        zone: status.zone.as_deref().map(str::to_owned),
        weight: status.weight,
        ejected: status.stats.ejected(Instant::now().into_std()).is_some(),
        config: view::SessionConfig {
            sent: config.sent,
            running: config.running,
            refused: config.refused.as_ref().map(|refused| refused.version),
            why: config.refused.as_ref().map(|refused| refused.why.clone()),
        },
        ..sessions::common(&status.session, state)
    }
}

/// The open exchanges.
pub(super) fn exchanges(
    gateway: &Gateway,
    agent: Option<&AgentId>,
    rule: Option<&str>,
    page: (usize, usize),
) -> view::Page<view::Exchange> {
    let all = gateway.agents().list().into_iter();
    let theirs = all.filter(|status| agent.is_none_or(|agent| status.session.agent() == agent));
    let sessions: Vec<_> = theirs
        .map(|status| {
            let agent = status.session.agent().to_string();
            (status.session, agent)
        })
        .collect();
    sessions::oldest(&sessions, rule, page, true)
}

/// The groups that have agents, rules or a configuration, by their names.
pub(super) fn groups(gateway: &Gateway, agents: &[view::Agent], hooks: &Hooks) -> Vec<view::Group> {
    let mut groups = BTreeMap::<String, view::Group>::new();
    for agent in agents {
        let mut of_agent = BTreeSet::new();
        for session in &agent.sessions {
            for name in &session.groups {
                let group = groups.entry(name.clone()).or_default();
                group.agents += usize::from(of_agent.insert(name));
                group.sessions += 1;
                group.available += usize::from(session.state == State::Ok.word());
                group.suspect += usize::from(session.suspect);
                group.draining += usize::from(session.draining || agent.drained);
                group.in_flight += session.in_flight;
            }
        }
    }
    for rule in hooks.rules() {
        if let RuleTarget::Group(name) = rule.target {
            groups.entry(name).or_default().rules.push(rule.id);
        }
    }
    for (name, version) in gateway.agent_configs().versions() {
        groups.entry(name.to_string()).or_default().config_version = version;
    }
    let named = |(name, group)| view::Group { name, ..group };
    groups.into_iter().map(named).collect()
}

/// The rules, in the order of the file.
pub(super) fn rules(gateway: &Gateway, hooks: &Hooks) -> Vec<view::Rule> {
    let (upstreams, traffic) = (hooks.upstreams(), hooks.traffic());
    let rule = |rule: super::RuleInfo| view::Rule {
        ready: can_carry(gateway, &upstreams, &rule.target),
        target: rule.target.to_string(),
        traffic: traffic::of_rule(&traffic, &rule.id),
        id: rule.id,
        listener: rule.listener,
        matches: rule.matches,
    };
    hooks.rules().into_iter().map(rule).collect()
}

fn can_carry(gateway: &Gateway, upstreams: &[(String, crate::Upstream)], target: &RuleTarget) -> bool {
    match target {
        RuleTarget::Group(name) => {
            let group = name.parse::<GroupName>();
            group.is_ok_and(|group| gateway.agents().can_carry(&group) == Some(true))
        }
        RuleTarget::Upstream(name) => {
            let found = upstreams.iter().find(|(known, _)| known == name);
            found.is_some_and(|(_, upstream)| upstreams::is_available(upstream))
        }
        RuleTarget::Direct => true,
    }
}

/// Whether a request could be carried: by an agent of a group that a rule names, or by an upstream.
pub(super) fn readiness(gateway: &Gateway, hooks: &Hooks) -> view::Ready {
    if !gateway.is_ready() {
        return not_ready(["the gateway is stopping".to_owned()]);
    }
    let is_any_available = || {
        let list = gateway.agents().list();
        list.iter()
            .any(|status| State::of(&status.session, status.drained) == State::Ok)
    };
    if hooks.rules.is_none() {
        return match is_any_available() {
            true => ready(),
            false => not_ready(["no agent is connected that takes requests".to_owned()]),
        };
    }
    let (rules, upstreams) = (hooks.rules(), hooks.upstreams());
    let targets: BTreeSet<String> = rules.iter().map(|rule| rule.target.to_string()).collect();
    let is_carried = |rule: &&super::RuleInfo| can_carry(gateway, &upstreams, &rule.target);
    let direct = RuleTarget::Direct.to_string();
    let is_ready = match targets.iter().all(|target| *target == direct) {
        // Only answers that are fixed, which need nobody.
        true if !targets.is_empty() && !hooks.any_service() => true,
        _ => {
            let mut served = rules.iter().filter(|rule| rule.target != RuleTarget::Direct);
            served.any(|rule| is_carried(&rule)) || (hooks.any_service() && is_any_available())
        }
    };
    if is_ready {
        return ready();
    }
    let mut reasons: Vec<_> = targets
        .iter()
        .filter_map(|target| match target.split_once(':') {
            Some(("group", name)) => Some(format!("no agent of the group `{name}` takes requests")),
            Some((_, name)) => Some(format!(
                "the upstream `{name}` has no endpoint that takes requests"
            )),
            None => None,
        })
        .collect();
    if hooks.any_service() || reasons.is_empty() {
        reasons.push("no agent is connected that takes requests".to_owned());
    }
    not_ready(reasons)
}

pub(super) const fn ready() -> view::Ready {
    view::Ready {
        ready: true,
        reasons: Vec::new(),
    }
}

/// The reasons that are told: a file may have thousands of rules.
const MAX_REASONS: usize = 20;

pub(super) fn not_ready(reasons: impl IntoIterator<Item = String>) -> view::Ready {
    view::Ready {
        ready: false,
        reasons: reasons.into_iter().take(MAX_REASONS).collect(),
    }
}

/// The configuration, with what the gateway knows of it.
pub(super) fn config(gateway: &Gateway, hooks: &Hooks) -> view::Config {
    let mut config = hooks.config();
    config.pushed_version = gateway.agent_configs().version();
    for name in gateway.revoked() {
        if !config.revoked.iter().any(|known| **known == *name) {
            config.revoked.push(name.into());
        }
    }
    config
}
