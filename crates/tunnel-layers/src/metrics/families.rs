//! Everything that was counted, in the shape of an endpoint for Prometheus.

use std::sync::Arc;

use metrics::Label;

use super::{
    cell::Sums,
    names::{self, Metric},
    overview::{AgentName, Name, Overview},
    series::with,
    status::{Outcome, Status},
    times::{AGENT_TIME_BOUNDS, Sorted, TIME_BOUNDS},
};

/// All samples of one metric. Which there are stands in the [module](super).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Family {
    /// What the metric is called.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// By their labels. There may be none.
    pub samples: Vec<(Vec<Label>, Sample)>,
}

/// The value of a metric for one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// What never becomes less.
    Counter(u64),
    /// What may.
    Gauge(f64),
    /// How many there were, and of which size.
    Histogram {
        /// Bounds in ascending order, and how many were not above each.
        below: Vec<(f64, u64)>,
        /// How many there were.
        count: u64,
        /// All of them together.
        sum: f64,
    },
}

impl Sample {
    fn times(sorted: &Sorted, bounds: &'static [f64]) -> Self {
        Self::Histogram {
            below: sorted.below(bounds),
            count: sorted.count(),
            sum: sorted.sum().as_secs_f64(),
        }
    }
}

impl Family {
    const fn new(Metric { name, help }: Metric) -> Self {
        Self {
            name,
            help,
            samples: Vec::new(),
        }
    }

    fn push(&mut self, labels: Vec<Label>, sample: Sample) {
        self.samples.push((labels, sample));
    }
}

impl Overview {
    /// The metrics of exchanges, as a recorder would have them: for the endpoint of a process whose layers tell the recorder
    /// [nothing](super::MetricsLayer::recorded) of them.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let rows = self.rows().into_iter();
        let rows: Vec<_> = rows.map(|(name, sums)| (labels(name), sums)).collect();
        let agents = self.agent_rows().into_iter();
        let agents: Vec<_> = agents.map(|(name, sums)| (agent_labels(name), sums)).collect();
        let mut families = of_rules(&rows);
        families.extend(of_agents(&agents));
        families
    }
}

fn of_rules(rows: &[(Vec<Label>, Sums)]) -> Vec<Family> {
    let (mut exchanges, mut failures) = (Family::new(names::EXCHANGES), Family::new(names::FAILURES));
    for (labels, sums) in rows {
        for (place, count) in counted(&sums.statuses) {
            let labels = with(labels, "status", Status::word(place));
            exchanges.push(labels, Sample::Counter(count));
        }
        for (word, count) in sums.failures() {
            failures.push(with(labels, "cause", word), Sample::Counter(count));
        }
    }
    let of = [
        names::OPEN,
        names::RECEIVED,
        names::SENT,
        names::DURATION,
        names::FIRST_BYTE,
    ];
    let mut families = vec![exchanges, failures];
    families.extend(of_all(rows, of, TIME_BOUNDS));
    families
}

fn of_agents(rows: &[(Vec<Label>, Sums)]) -> Vec<Family> {
    let mut exchanges = Family::new(names::AGENT_EXCHANGES);
    for (labels, sums) in rows {
        for (place, count) in counted(&sums.outcomes) {
            let labels = with(labels, "outcome", Outcome::ALL[place].word());
            exchanges.push(labels, Sample::Counter(count));
        }
    }
    let of = [
        names::AGENT_OPEN,
        names::AGENT_RECEIVED,
        names::AGENT_SENT,
        names::AGENT_DURATION,
        names::AGENT_FIRST_BYTE,
    ];
    let mut families = vec![exchanges];
    families.extend(of_all(rows, of, AGENT_TIME_BOUNDS));
    families
}

/// What rules and agents both have: open exchanges, bytes and times.
fn of_all(rows: &[(Vec<Label>, Sums)], of: [Metric; 5], bounds: &'static [f64]) -> [Family; 5] {
    let samples: [fn(&Sums, &'static [f64]) -> Sample; 5] = [
        |sums, _| Sample::Gauge(sums.open() as f64),
        |sums, _| Sample::Counter(sums.bytes_in),
        |sums, _| Sample::Counter(sums.bytes_out),
        |sums, bounds| Sample::times(&sums.duration, bounds),
        |sums, bounds| Sample::times(&sums.first_byte, bounds),
    ];
    std::array::from_fn(|at| {
        let mut family = Family::new(of[at]);
        for (labels, sums) in rows {
            family.push(labels.clone(), samples[at](sums, bounds));
        }
        family
    })
}

/// Those that have counted anything, by their places.
fn counted(counts: &[u64]) -> impl Iterator<Item = (usize, u64)> {
    let all = counts.iter().copied().enumerate();
    all.filter(|(_, count)| *count > 0)
}

/// The labels of a rule, a target and a protocol.
pub(super) fn labels(name: Name) -> Vec<Label> {
    let label = |key: &'static str, value: Arc<str>| Label::new(key, value);
    vec![
        Label::from_static_parts("role", name.role),
        label("rule", name.rule),
        label("group", name.group),
        label("upstream", name.upstream),
        Label::from_static_parts("protocol", name.protocol),
    ]
}

/// The labels of an agent.
pub(super) fn agent_labels(name: AgentName) -> Vec<Label> {
    vec![
        Label::from_static_parts("role", name.role),
        Label::new("agent", name.agent),
    ]
}
