//! What each event says: everything at a glance, in less than 100 KB.

use bytes::Bytes;

use super::{Admin, agent, gateway, overview, source::Source, upstreams, view};

/// The largest event, in bytes.
const MAX_BYTES: usize = 96 * 1024;
const MAX_AGENTS: usize = 150;
const MAX_GROUPS: usize = 50;
const MAX_UPSTREAMS: usize = 50;
const MAX_EXCHANGES: usize = 20;
/// The groups of an agent that are named.
const GROUPS_OF_AGENT: usize = 8;

/// What there is now.
pub(super) fn take(admin: &Admin) -> view::Snapshot {
    let hooks = &admin.0.hooks;
    let mut snapshot = match &admin.0.source {
        Source::Gateway(of) => {
            let mut agents = gateway::agents(of);
            let mut groups = gateway::groups(of, &agents, hooks);
            let counts = overview::of_agents(&agents, groups.len(), admin);
            let (groups_total, agents_total) = (groups.len(), agents.len());
            groups.truncate(MAX_GROUPS);
            agents.sort_by(|a, b| key(a).cmp(&key(b)));
            agents.truncate(MAX_AGENTS);
            let exchanges = gateway::exchanges(of, None, None, (0, MAX_EXCHANGES));
            view::Snapshot {
                overview: overview::short(admin, counts),
                groups,
                groups_total,
                agents: agents.iter().map(row).collect(),
                agents_total,
                exchanges: exchanges.items,
                exchanges_total: exchanges.total,
                ..view::Snapshot::default()
            }
        }
        Source::Agent(of) => {
            let gateways = agent::gateways(of);
            let exchanges = agent::exchanges(of, (0, MAX_EXCHANGES));
            view::Snapshot {
                overview: overview::short(admin, overview::of_gateways(&gateways, admin)),
                exchanges: exchanges.items,
                exchanges_total: exchanges.total,
                gateways,
                ..view::Snapshot::default()
            }
        }
    };
    let mut all = hooks.upstreams();
    snapshot.upstreams_total = all.len();
    all.truncate(MAX_UPSTREAMS);
    snapshot.upstreams = upstreams::list(&all);
    snapshot
}

/// First those that need a look, then those with most exchanges.
fn key(agent: &view::Agent) -> (bool, std::cmp::Reverse<usize>, &str) {
    let is_well = agent.state == "ok"
        && agent
            .sessions
            .iter()
            .all(|session| session.config.refused.is_none());
    (is_well, std::cmp::Reverse(agent.in_flight), &agent.id)
}

/// An agent in few words.
pub(super) fn row(agent: &view::Agent) -> view::AgentRow {
    let sessions = &agent.sessions;
    view::AgentRow {
        id: agent.id.clone(),
        state: agent.state.clone(),
        groups: agent.groups.iter().take(GROUPS_OF_AGENT).cloned().collect(),
        sessions: sessions.len(),
        lanes: sessions.iter().map(|session| session.lanes.len()).sum(),
        in_flight: agent.in_flight,
        round_trip_us: sessions.iter().filter_map(|session| session.round_trip_us).min(),
        config: sessions
            .iter()
            .map(|session| session.config.running)
            .min()
            .unwrap_or(0),
        refused: sessions.iter().any(|session| session.config.refused.is_some()),
    }
}

/// The event's bytes. Whoever has names of great length gets fewer of them.
pub(super) fn event(admin: &Admin) -> Bytes {
    let mut snapshot = take(admin);
    loop {
        let text = serde_json::to_string(&snapshot).unwrap_or_default();
        if text.len() <= MAX_BYTES || !halve(&mut snapshot) {
            return Bytes::from(format!("event: snapshot\ndata: {text}\n\n"));
        }
    }
}

/// Leaves half of each list out; false if there was nothing left to leave out.
fn halve(snapshot: &mut view::Snapshot) -> bool {
    fn half<T>(list: &mut Vec<T>) -> bool {
        let had = list.len();
        list.truncate(had / 2);
        list.len() < had
    }
    let view::Snapshot {
        overview,
        groups,
        agents,
        exchanges,
        upstreams,
        gateways,
        ..
    } = snapshot;
    for upstream in upstreams.iter_mut() {
        half(&mut upstream.endpoints);
    }
    for group in groups.iter_mut() {
        half(&mut group.rules);
    }
    let halved = [
        half(agents),
        half(groups),
        half(exchanges),
        half(upstreams),
        half(&mut overview.traffic),
        half(&mut overview.config.revoked),
        half(gateways),
    ];
    halved.contains(&true)
}
