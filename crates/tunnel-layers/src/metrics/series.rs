//! One set of labels: where its exchanges are counted.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use tunnel_core::Cause;

use super::{
    cell::{Cell, Ending, place},
    names::{self, Metric},
    status::{Outcome, STATUSES, Status},
};

/// Where the exchanges of one set of labels count: of a rule, a target and a protocol, or, with [`AgentTold`], of an agent.
pub(super) struct Series<T = Told> {
    pub(super) cell: Option<Arc<Cell>>,
    /// None where the recorder is told nothing.
    pub(super) told: Option<T>,
}

/// Whom the recorder is told of.
pub(super) trait Tell {
    fn open(&self) -> &Gauge;

    fn end(&self, ending: &Ending);
}

impl<T: Tell> Series<T> {
    pub(super) fn begin(&self) {
        if let Some(cell) = &self.cell {
            cell.begin();
        }
        if let Some(told) = &self.told {
            told.open().increment(1.0);
        }
    }

    pub(super) fn end(&self, ending: &Ending) {
        if let Some(cell) = &self.cell {
            cell.end(ending);
        }
        if let Some(told) = &self.told {
            told.open().decrement(1.0);
            told.end(ending);
        }
    }
}

impl Series {
    /// It counts elsewhere.
    pub(super) fn forget(&self) {
        if let Some(cell) = &self.cell {
            cell.forget();
        }
        if let Some(told) = &self.told {
            told.open.decrement(1.0);
        }
    }
}

impl Series<AgentTold> {
    /// It goes to another agent.
    pub(super) fn leave(&self) {
        if let Some(cell) = &self.cell {
            cell.leave();
        }
        if let Some(told) = &self.told {
            told.open.decrement(1.0);
            told.count(Outcome::Retried);
        }
    }
}

/// What the recorder of the crate `metrics` has for a series. Counters that never counted do not exist.
pub(super) struct Told {
    labels: Vec<Label>,
    open: Gauge,
    by_status: [OnceLock<Counter>; STATUSES],
    by_cause: [OnceLock<Counter>; Cause::ALL.len()],
    sizes: Sizes,
}

/// The same for an agent.
pub(super) struct AgentTold {
    labels: Vec<Label>,
    open: Gauge,
    by_outcome: [OnceLock<Counter>; Outcome::COUNT],
    sizes: Sizes,
}

/// Bytes and times.
struct Sizes {
    received: Counter,
    sent: Counter,
    duration: Histogram,
    first_byte: Histogram,
}

impl Sizes {
    /// Of these metrics: received, sent, duration and first byte.
    fn new(labels: &[Label], [received, sent, duration, first_byte]: [Metric; 4]) -> Self {
        Self {
            received: counter!(received.name, labels.to_vec()),
            sent: counter!(sent.name, labels.to_vec()),
            duration: histogram!(duration.name, labels.to_vec()),
            first_byte: histogram!(first_byte.name, labels.to_vec()),
        }
    }

    fn end(&self, ending: &Ending) {
        if ending.received > 0 {
            self.received.increment(ending.received);
        }
        if ending.sent > 0 {
            self.sent.increment(ending.sent);
        }
        self.duration.record(ending.duration.as_secs_f64());
        if let Some(time) = ending.first_byte {
            self.first_byte.record(time.as_secs_f64());
        }
    }
}

impl Told {
    pub(super) fn new(labels: Vec<Label>) -> Self {
        let of = [names::RECEIVED, names::SENT, names::DURATION, names::FIRST_BYTE];
        Self {
            open: gauge!(names::OPEN.name, labels.clone()),
            by_status: [const { OnceLock::new() }; STATUSES],
            by_cause: [const { OnceLock::new() }; Cause::ALL.len()],
            sizes: Sizes::new(&labels, of),
            labels,
        }
    }
}

impl Tell for Told {
    fn open(&self) -> &Gauge {
        &self.open
    }

    fn end(&self, ending: &Ending) {
        let status = ending.status.place;
        self.by_status[status]
            .get_or_init(|| {
                counter!(
                    names::EXCHANGES.name,
                    with(&self.labels, "status", Status::word(status))
                )
            })
            .increment(1);
        if let Some(cause) = ending.cause {
            self.by_cause[place(cause)]
                .get_or_init(|| counter!(names::FAILURES.name, with(&self.labels, "cause", cause.word())))
                .increment(1);
        }
        self.sizes.end(ending);
    }
}

impl AgentTold {
    pub(super) fn new(labels: Vec<Label>) -> Self {
        let of = [
            names::AGENT_RECEIVED,
            names::AGENT_SENT,
            names::AGENT_DURATION,
            names::AGENT_FIRST_BYTE,
        ];
        Self {
            open: gauge!(names::AGENT_OPEN.name, labels.clone()),
            by_outcome: [const { OnceLock::new() }; Outcome::COUNT],
            sizes: Sizes::new(&labels, of),
            labels,
        }
    }

    fn count(&self, outcome: Outcome) {
        let make = || {
            counter!(
                names::AGENT_EXCHANGES.name,
                with(&self.labels, "outcome", outcome.word())
            )
        };
        self.by_outcome[outcome as usize].get_or_init(make).increment(1);
    }
}

impl Tell for AgentTold {
    fn open(&self) -> &Gauge {
        &self.open
    }

    fn end(&self, ending: &Ending) {
        self.count(ending.outcome());
        self.sizes.end(ending);
    }
}

/// The labels, and one more.
pub(super) fn with(labels: &[Label], name: &'static str, value: &'static str) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::from_static_parts(name, value));
    labels
}
