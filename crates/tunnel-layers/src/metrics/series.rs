//! The counters of one set of labels.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use tunnel_core::Cause;

use super::{
    names,
    overview::{Cell, Sample},
    status::{Outcome, STATUSES, Status},
};

/// What an exchange came to.
pub(super) struct Result {
    pub(super) status: Status,
    pub(super) cause: Option<Cause>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) first_byte: Option<Duration>,
    pub(super) duration: Duration,
}

impl Result {
    fn sample(&self) -> Sample {
        Sample {
            class: self.status.class,
            cause: self.cause.map(|cause| place(cause).0),
            received: self.received,
            sent: self.sent,
            first_byte: self.first_byte,
        }
    }
}

fn place(cause: Cause) -> (usize, &'static str) {
    let place = Cause::ALL.iter().position(|other| *other == cause);
    (place.unwrap_or_default(), cause.word())
}

/// Those of a rule, a target and a protocol. Counters that never counted do not exist.
pub(super) struct Series {
    labels: Vec<Label>,
    open: Gauge,
    by_status: [OnceLock<Counter>; STATUSES],
    by_cause: [OnceLock<Counter>; Cause::ALL.len()],
    common: Common,
}

/// Those of an agent.
pub(super) struct AgentSeries {
    labels: Vec<Label>,
    open: Gauge,
    by_outcome: [OnceLock<Counter>; Outcome::COUNT],
    common: Common,
}

struct Common {
    received: Counter,
    sent: Counter,
    duration: Histogram,
    first_byte: Histogram,
    overview: Option<Arc<Cell>>,
}

impl Common {
    fn end(&self, result: &Result) {
        if result.received > 0 {
            self.received.increment(result.received);
        }
        if result.sent > 0 {
            self.sent.increment(result.sent);
        }
        self.duration.record(result.duration.as_secs_f64());
        if let Some(time) = result.first_byte {
            self.first_byte.record(time.as_secs_f64());
        }
        if let Some(cell) = &self.overview {
            cell.end(&result.sample());
        }
    }

    fn begin(&self, open: &Gauge) {
        open.increment(1.0);
        if let Some(cell) = &self.overview {
            cell.begin();
        }
    }
}

impl Series {
    pub(super) fn new(labels: Vec<Label>, overview: Option<Arc<Cell>>) -> Self {
        Self {
            open: gauge!(names::OPEN, labels.clone()),
            by_status: [const { OnceLock::new() }; STATUSES],
            by_cause: [const { OnceLock::new() }; Cause::ALL.len()],
            common: Common {
                received: counter!(names::RECEIVED, labels.clone()),
                sent: counter!(names::SENT, labels.clone()),
                duration: histogram!(names::DURATION, labels.clone()),
                first_byte: histogram!(names::FIRST_BYTE, labels.clone()),
                overview,
            },
            labels,
        }
    }

    pub(super) fn begin(&self) {
        self.common.begin(&self.open);
    }

    /// It counts elsewhere.
    pub(super) fn forget(&self) {
        self.open.decrement(1.0);
        if let Some(cell) = &self.common.overview {
            cell.forget();
        }
    }

    pub(super) fn end(&self, result: &Result) {
        self.open.decrement(1.0);
        let place = result.status.place;
        self.by_status[place]
            .get_or_init(|| counter!(names::EXCHANGES, self.with("status", Status::word(place))))
            .increment(1);
        if let Some(cause) = result.cause {
            let (at, word) = self::place(cause);
            self.by_cause[at]
                .get_or_init(|| counter!(names::FAILURES, self.with("cause", word)))
                .increment(1);
        }
        self.common.end(result);
    }

    fn with(&self, name: &'static str, value: &'static str) -> Vec<Label> {
        with(&self.labels, name, value)
    }
}

impl AgentSeries {
    pub(super) fn new(labels: Vec<Label>, overview: Option<Arc<Cell>>) -> Self {
        Self {
            open: gauge!(names::AGENT_OPEN, labels.clone()),
            by_outcome: [const { OnceLock::new() }; Outcome::COUNT],
            common: Common {
                received: counter!(names::AGENT_RECEIVED, labels.clone()),
                sent: counter!(names::AGENT_SENT, labels.clone()),
                duration: histogram!(names::AGENT_DURATION, labels.clone()),
                first_byte: histogram!(names::AGENT_FIRST_BYTE, labels.clone()),
                overview,
            },
            labels,
        }
    }

    pub(super) fn begin(&self) {
        self.common.begin(&self.open);
    }

    /// It goes to another agent.
    pub(super) fn leave(&self) {
        self.open.decrement(1.0);
        self.count(Outcome::Retried);
        if let Some(cell) = &self.common.overview {
            cell.end(&Sample::default());
        }
    }

    pub(super) fn end(&self, result: &Result) {
        self.open.decrement(1.0);
        self.count(Outcome::of(result.status.class, result.cause));
        self.common.end(result);
    }

    fn count(&self, outcome: Outcome) {
        let make = || {
            counter!(
                names::AGENT_EXCHANGES,
                with(&self.labels, "outcome", outcome.word())
            )
        };
        self.by_outcome[outcome as usize].get_or_init(make).increment(1);
    }
}

fn with(labels: &[Label], name: &'static str, value: &'static str) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::from_static_parts(name, value));
    labels
}
