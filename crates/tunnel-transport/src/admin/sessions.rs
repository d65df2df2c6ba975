//! What can be told of a session, at either end.

use std::time::Duration;

use tunnel_core::{ExchangePhase, ExchangeStatus, Protocol, Session};

use super::view;

/// What a session is about, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    Drained,
    Draining,
    Suspect,
    NoLane,
    Away,
}

impl State {
    pub(super) fn of(session: &Session, drained: bool) -> Self {
        match () {
            () if session.is_draining() => Self::Draining,
            () if session.is_suspect() => Self::Suspect,
            () if !session.is_available() => Self::NoLane,
            () if drained => Self::Drained,
            () => Self::Ok,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Drained => "drained",
            Self::Draining => "draining",
            Self::Suspect => "suspect",
            Self::NoLane => "no_lane",
            Self::Away => "away",
        }
    }
}

/// What both ends know of a session; the rest is what an agent said of itself.
pub(super) fn common(session: &Session, state: State) -> view::Session {
    view::Session {
        id: session.id().to_string(),
        instance: session.instance().to_string(),
        age_ms: millis(session.age()),
        lanes: session.lanes().iter().map(lane).collect(),
        state: state.word().to_owned(),
        suspect: session.is_suspect(),
        draining: session.is_draining(),
        round_trip_us: session.last_round_trip().map(micros),
        round_trip_min_us: session.round_trip().map(micros),
        in_flight: session.load(),
        max_in_flight: session.remote_settings().max_exchanges,
        ..view::Session::default()
    }
}

fn lane(lane: &tunnel_core::Lane) -> view::Lane {
    view::Lane {
        index: lane.index(),
        suspect: lane.is_suspect(),
        queued_bytes: lane.queued_bytes(),
    }
}

/// An exchange of a session. `outside_opens` is true where this end opens the exchanges of outsiders, as a gateway does.
pub(super) fn exchange(
    status: ExchangeStatus,
    session: &Session,
    agent: String,
    outside_opens: bool,
) -> view::Exchange {
    let (request, response) = match status.is_opener {
        true => (
            (status.has_sent, status.sent_bytes),
            (status.has_received, status.received_bytes),
        ),
        false => (
            (status.has_received, status.received_bytes),
            (status.has_sent, status.sent_bytes),
        ),
    };
    view::Exchange {
        id: status.id.to_string(),
        age_ms: millis(status.age),
        protocol: protocol(status.protocol).to_owned(),
        rule: status.rule.map(|rule| rule.to_string()),
        agent,
        session: session.id().to_string(),
        lane: status.lane,
        from_agent: status.is_opener != outside_opens,
        state: phase(status.phase).to_owned(),
        request_ended: request.0,
        response_ended: response.0,
        bytes_in: request.1,
        bytes_out: response.1,
        credit_bytes: status.credit,
        unread_bytes: status.unread,
    }
}

const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "http",
        Protocol::Grpc => "grpc",
        Protocol::WebSocket => "websocket",
    }
}

const fn phase(phase: ExchangePhase) -> &'static str {
    match phase {
        ExchangePhase::Waiting => "waiting",
        ExchangePhase::Answering => "answering",
        ExchangePhase::Upgraded => "upgraded",
    }
}

/// The oldest exchanges of these sessions, each with what stands for its other end: those behind the first `offset`, at most `limit`.
pub(super) fn oldest(
    sessions: &[(Session, String)],
    rule: Option<&str>,
    (offset, limit): (usize, usize),
    outside_opens: bool,
) -> view::Page<view::Exchange> {
    let wanted = offset.saturating_add(limit);
    let mut total = 0;
    let mut found = Vec::new();
    for (session, agent) in sessions {
        // Which of them are of a rule is known only once they are looked at.
        let most = if rule.is_some() { usize::MAX } else { wanted };
        let statuses = session.oldest(most);
        let statuses = statuses
            .into_iter()
            .filter(|status| rule.is_none_or(|rule| status.rule.as_deref() == Some(rule)));
        let before = found.len();
        found.extend(statuses.map(|status| (status, session, agent)));
        total += match rule {
            Some(_) => found.len() - before,
            None => session.pending(),
        };
        if found.len() > 4 * wanted.max(256) {
            keep_oldest(&mut found, wanted);
        }
    }
    keep_oldest(&mut found, wanted);
    let items = found.into_iter().skip(offset);
    view::Page {
        total,
        offset,
        items: items
            .map(|(status, session, agent)| exchange(status, session, agent.clone(), outside_opens))
            .collect(),
    }
}

fn keep_oldest<A, B>(found: &mut Vec<(ExchangeStatus, A, B)>, wanted: usize) {
    found.sort_by(|(a, ..), (b, ..)| b.age.cmp(&a.age).then_with(|| a.id.cmp(&b.id)));
    found.truncate(wanted);
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
