//! What is answered, as text.

use std::fmt::Write as _;

use tunnel_transport::admin::view;

use super::{
    table::{Table, clean},
    units::{bytes, micros, names, time, version},
};

/// A process at a glance.
pub(super) fn overview(of: &view::Overview) -> String {
    let view::Overview { counts, config, .. } = of;
    let mut text = format!(
        "{} {}, version {}, up {}\n",
        of.role,
        clean(&of.id),
        of.version,
        time(of.uptime_ms)
    );
    let state = match (of.readiness.ready, of.leaving) {
        (_, true) => "leaving",
        (true, false) => "ready",
        (false, false) => "not ready",
    };
    let _ = writeln!(text, "{state}");
    for reason in &of.readiness.reasons {
        let _ = writeln!(text, "  {}", clean(reason));
    }
    let others = match of.role.as_str() {
        "agent" => "gateways",
        _ => "agents",
    };
    let mut special = Vec::new();
    for (count, what) in [
        (counts.suspect, "suspect"),
        (counts.draining, "draining"),
        (counts.drained, "drained"),
        (counts.refused_config, "refused their configuration"),
    ] {
        if count > 0 {
            special.push(format!("{count} {what}"));
        }
    }
    let special = if special.is_empty() {
        String::new()
    } else {
        format!(" ({})", special.join(", "))
    };
    let _ = writeln!(
        text,
        "{others} {}, sessions {}, lanes {}, sessions that take requests {}{special}",
        counts.agents, counts.sessions, counts.lanes, counts.available
    );
    let _ = writeln!(
        text,
        "open exchanges {}, credit granted {}",
        counts.exchanges,
        bytes(of.credit_granted_bytes as u64)
    );
    let (requests, failed) = sums(&of.traffic);
    let _ = writeln!(text, "requests {requests}, failed in the tunnel {failed}");
    text + &self::config(config)
}

fn sums(rows: &[view::Traffic]) -> (u64, u64) {
    rows.iter().fold((0, 0), |(requests, failed), row| {
        (
            requests + row.requests,
            failed + row.failures.values().sum::<u64>(),
        )
    })
}

/// What runs.
pub(super) fn config(of: &view::Config) -> String {
    let mut text = String::new();
    if let Some(file) = &of.file {
        let _ = writeln!(text, "file {}", clean(file));
    }
    if let Some(last) = &of.last_reload {
        let _ = writeln!(text, "last reload: {}: {}", last.outcome, clean(&last.detail));
    }
    if of.pushed_version > 0 {
        let _ = writeln!(text, "configuration of agents: version {}", of.pushed_version);
    }
    if let Some(why) = &of.refused {
        let _ = writeln!(text, "a newer one was refused: {}", clean(why));
    }
    if !of.revoked.is_empty() {
        let _ = writeln!(text, "revoked: {}", clean(&names(&of.revoked, 20)));
    }
    text
}

/// A row for each session of each agent.
pub(super) fn agents(page: &view::Page<view::Agent>) -> String {
    let mut table = Table::new(&[
        "AGENT", "STATE", "GROUPS", "ADDRESS", "VERSION", "ZONE", ">AGE", ">LANES", ">RTT", ">OPEN",
        ">CONFIG", "TOKEN",
    ]);
    let mut refusals = String::new();
    for agent in &page.items {
        for session in &agent.sessions {
            table.row([
                agent.id.clone(),
                session.state.clone(),
                names(&session.groups, 4),
                session.address.clone().unwrap_or_else(|| "-".to_owned()),
                session.version.clone(),
                session.zone.clone().unwrap_or_else(|| "-".to_owned()),
                time(session.age_ms),
                session.lanes.len().to_string(),
                micros(session.round_trip_us),
                session.in_flight.to_string(),
                version(session.config.running),
                session.credentials.clone(),
            ]);
            if let (Some(refused), Some(why)) = (session.config.refused, &session.config.why) {
                let id = clean(&agent.id);
                let _ = writeln!(
                    refusals,
                    "{id} has refused the configuration {refused}: {}",
                    clean(why)
                );
            }
        }
        if agent.sessions.is_empty() {
            let away = || "-".to_owned();
            let (id, state) = (agent.id.clone(), format!("{}, drained", agent.state));
            table.row([
                id,
                state,
                away(),
                away(),
                away(),
                away(),
                away(),
                away(),
                away(),
                away(),
                away(),
                away(),
            ]);
        }
    }
    table.to_string() + &refusals + &more(page)
}

/// Says what is not on the page.
fn more<T>(page: &view::Page<T>) -> String {
    let shown = page.offset + page.items.len();
    match page.total > shown {
        true => format!(
            "{} of {}; --offset {shown} has the next\n",
            page.items.len(),
            page.total
        ),
        false => String::new(),
    }
}

/// A row for each exchange.
pub(super) fn exchanges(page: &view::Page<view::Exchange>) -> String {
    let mut table = Table::new(&[
        ">AGE", "STATE", "PROTOCOL", "RULE", "AGENT", ">IN", ">OUT", ">UNREAD", "ID",
    ]);
    for one in &page.items {
        let ended = match (one.request_ended, one.response_ended) {
            (true, false) | (false, false) => "",
            (false, true) => ", request goes on",
            (true, true) => ", ending",
        };
        let agent = match one.from_agent {
            true => format!("{} asks", one.agent),
            false => one.agent.clone(),
        };
        table.row([
            time(one.age_ms),
            format!("{}{ended}", one.state),
            one.protocol.clone(),
            one.rule.clone().unwrap_or_else(|| "-".to_owned()),
            agent,
            bytes(one.bytes_in),
            bytes(one.bytes_out),
            bytes(one.unread_bytes as u64),
            one.id.clone(),
        ]);
    }
    table.to_string() + &more(page)
}

/// A row for each group.
pub(super) fn groups(groups: &[view::Group]) -> String {
    let mut table = Table::new(&[
        "GROUP",
        ">AGENTS",
        ">SESSIONS",
        ">TAKE REQUESTS",
        ">SUSPECT",
        ">DRAIN",
        ">OPEN",
        ">CONFIG",
        "RULES",
    ]);
    for group in groups {
        table.row([
            group.name.clone(),
            group.agents.to_string(),
            group.sessions.to_string(),
            group.available.to_string(),
            group.suspect.to_string(),
            group.draining.to_string(),
            group.in_flight.to_string(),
            version(group.config_version),
            names(&group.rules, 8),
        ]);
    }
    table.to_string()
}

/// A row for each rule.
pub(super) fn rules(rules: &[view::Rule]) -> String {
    let mut table = Table::new(&[
        "RULE", "PORT", "MATCHES", "GOES TO", "READY", ">HITS", ">OPEN", ">5XX", ">FAILED", ">IN", ">OUT",
    ]);
    for rule in rules {
        let traffic = rule.traffic.clone().unwrap_or_default();
        table.row([
            rule.id.clone(),
            rule.listener.clone(),
            rule.matches.clone(),
            rule.target.clone(),
            if rule.ready { "yes" } else { "no" }.to_owned(),
            traffic.requests.to_string(),
            traffic.open.to_string(),
            traffic.statuses.get("5xx").copied().unwrap_or(0).to_string(),
            traffic.failures.values().sum::<u64>().to_string(),
            bytes(traffic.bytes_in),
            bytes(traffic.bytes_out),
        ]);
    }
    table.to_string()
}

/// A row for each endpoint of each upstream.
pub(super) fn upstreams(upstreams: &[view::Upstream]) -> String {
    let mut table = Table::new(&[
        "UPSTREAM",
        "ENDPOINT",
        "STATE",
        ">OPEN",
        ">CONNECTIONS",
        ">WEIGHT",
        ">LATENCY",
        "ZONE",
    ]);
    for upstream in upstreams {
        for endpoint in &upstream.endpoints {
            table.row([
                upstream.name.clone(),
                endpoint.name.clone(),
                endpoint.state.clone(),
                endpoint.in_flight.to_string(),
                endpoint.connections.to_string(),
                endpoint.weight.to_string(),
                micros(endpoint.latency_us),
                endpoint.zone.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    table.to_string()
}

/// A row for each address of each gateway.
pub(super) fn gateways(gateways: &[view::Gateway]) -> String {
    let mut table = Table::new(&[
        "GATEWAY", "ADDRESS", "STATE", ">AGE", ">LANES", ">RTT", ">OPEN", ">CONFIG", "ERROR",
    ]);
    for gateway in gateways {
        let session = gateway.session.as_ref();
        let state = match session {
            Some(session) if session.state != "ok" => format!("{}, {}", gateway.state, session.state),
            _ => gateway.state.clone(),
        };
        let of = |text: fn(&view::Session) -> String| session.map_or_else(|| "-".to_owned(), text);
        table.row([
            gateway.gateway.clone(),
            gateway.address.clone(),
            state,
            of(|session| time(session.age_ms)),
            of(|session| session.lanes.len().to_string()),
            of(|session| micros(session.round_trip_us)),
            of(|session| session.in_flight.to_string()),
            of(|session| version(session.config.running)),
            gateway.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.to_string()
}

/// What was done.
pub(super) fn done(done: &view::Done) -> String {
    let mut text = clean(&done.done);
    if !done.changed {
        text.push_str("; that is no news");
    }
    let _ = match (done.sessions, done.in_flight) {
        (0, 0) => Ok(()),
        (0, open) => write!(text, " (open exchanges: {open})"),
        (sessions, open) => write!(text, " (sessions: {sessions}, open exchanges: {open})"),
    };
    text + "\n"
}
