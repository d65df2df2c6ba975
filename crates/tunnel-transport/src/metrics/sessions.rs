//! What both ends tell of their sessions.

use metrics::{counter, gauge};
use tokio::time::Instant;
use tunnel_core::{CreditBudget, ResetReason, Session, Tally};

use super::names;

pub(super) fn report(role: &'static str, sessions: &[Session], tally: &Tally, budget: &CreditBudget) {
    states(role, sessions);
    let lanes: Vec<_> = sessions.iter().flat_map(Session::lanes).collect();
    set(names::LANES, role, lanes.len());
    set(
        names::QUEUE,
        role,
        lanes.iter().map(|lane| lane.queued_bytes()).sum(),
    );
    set(names::PENDING, role, sessions.iter().map(Session::pending).sum());
    set(names::CREDIT, role, budget.used());
    set(names::BUDGET, role, budget.limit());
    // By construction: `Session::handle` stores, and waits for nobody.
    set(names::BLOCKED, role, 0);
    tallied(role, tally);
}

fn states(role: &'static str, sessions: &[Session]) {
    const STATES: [&str; 4] = ["serving", "draining", "suspect", "no-lane"];
    let mut counts = [0_usize; STATES.len()];
    for session in sessions {
        let state = if session.is_draining() {
            1
        } else if session.is_suspect() {
            2
        } else if session.is_available() {
            0
        } else {
            3
        };
        counts[state] += 1;
    }
    for (state, count) in STATES.into_iter().zip(counts) {
        gauge!(names::SESSIONS, "role" => role, "state" => state).set(count as f64);
    }
}

fn tallied(role: &'static str, tally: &Tally) {
    let counts = tally.at(Instant::now().into_std());
    counter!(names::OPENED, "role" => role, "by" => "us").absolute(counts.opened);
    counter!(names::OPENED, "role" => role, "by" => "them").absolute(counts.accepted);
    counter!(names::REFUSED, "role" => role).absolute(counts.refused);
    counter!(names::LATE, "role" => role).absolute(counts.late);
    counter!(names::GRANTED, "role" => role).absolute(counts.granted);
    // Counters of the facade are whole numbers.
    counter!(names::STARVED, "role" => role).absolute(counts.starved.as_secs());
    set(
        names::STARVED_NOW,
        role,
        usize::try_from(counts.starved_now).unwrap_or(usize::MAX),
    );
    resets(role, "sent", &counts.sent_resets);
    resets(role, "received", &counts.received_resets);
}

fn resets(role: &'static str, way: &'static str, counts: &[(ResetReason, u64)]) {
    for (reason, count) in counts {
        counter!(names::RESETS, "role" => role, "way" => way, "reason" => reason.word()).absolute(*count);
    }
}

pub(super) fn set(name: &'static str, role: &'static str, value: usize) {
    gauge!(name, "role" => role).set(value as f64);
}
