//! A process at a glance.

use super::{Admin, agent, gateway, sessions, source::Source, source::unix_ms, traffic, view};

/// The rows of traffic in an event; the overview itself has all.
const ROWS: usize = 50;

/// What the lists of a gateway or an agent sum up to.
pub(super) fn overview(admin: &Admin, most_rows: usize, counts: view::Counts) -> view::Overview {
    let inner = &admin.0;
    let (role, id, leaving, credit) = inner.source.about();
    let rows = inner.hooks.traffic();
    view::Overview {
        role: role.to_owned(),
        id,
        version: inner.version.clone(),
        at_unix_ms: unix_ms(),
        uptime_ms: sessions::millis(inner.since.elapsed()),
        readiness: admin.readiness(),
        leaving,
        counts,
        credit_granted_bytes: credit,
        traffic_total: rows.len(),
        traffic: traffic::busiest(rows, most_rows),
        config: inner.source.config(&inner.hooks),
    }
}

/// The overview alone.
pub(super) fn alone(admin: &Admin) -> view::Overview {
    let hooks = &admin.0.hooks;
    let counts = match &admin.0.source {
        Source::Gateway(of) => {
            let agents = gateway::agents(of);
            let groups = gateway::groups(of, &agents, hooks);
            of_agents(&agents, groups.len(), admin)
        }
        Source::Agent(of) => of_gateways(&agent::gateways(of), admin),
    };
    overview(admin, usize::MAX, counts)
}

/// The overview of an event.
pub(super) fn short(admin: &Admin, counts: view::Counts) -> view::Overview {
    overview(admin, ROWS, counts)
}

pub(super) fn of_agents(agents: &[view::Agent], groups: usize, admin: &Admin) -> view::Counts {
    let mut counts = view::Counts {
        agents: agents.len(),
        drained: agents.iter().filter(|agent| agent.drained).count(),
        groups,
        ..common(admin)
    };
    for agent in agents {
        let mut has_refused = false;
        for session in &agent.sessions {
            add(&mut counts, session);
            has_refused |= session.config.refused.is_some();
        }
        counts.refused_config += usize::from(has_refused);
    }
    if let Source::Gateway(of) = &admin.0.source {
        // With what agents ask, which the load does not count.
        let list = of.agents().list();
        counts.exchanges = list.iter().map(|status| status.session.pending()).sum();
    }
    counts
}

pub(super) fn of_gateways(gateways: &[view::Gateway], admin: &Admin) -> view::Counts {
    let mut counts = view::Counts {
        agents: gateways.len(),
        ..common(admin)
    };
    for session in gateways.iter().filter_map(|gateway| gateway.session.as_ref()) {
        add(&mut counts, session);
        counts.exchanges += session.in_flight;
        counts.groups = counts.groups.max(session.groups.len());
    }
    counts
}

fn common(admin: &Admin) -> view::Counts {
    view::Counts {
        rules: admin.0.hooks.rules().len(),
        upstreams: admin.0.hooks.upstreams().len(),
        ..view::Counts::default()
    }
}

fn add(counts: &mut view::Counts, session: &view::Session) {
    counts.sessions += 1;
    counts.lanes += session.lanes.len();
    counts.available += usize::from(session.state == "ok");
    counts.suspect += usize::from(session.suspect);
    counts.draining += usize::from(session.draining);
}
