use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::cell::{Cell, Sums};

/// The buckets of a [`Row`]'s latencies.
pub const LATENCY_BUCKETS: usize = 32;

/// What went through [`MetricsLayer`](super::MetricsLayer)s, in numbers that the process itself can read: for a status page, an
/// admin interface, or a test. Clones are the same one.
///
/// Each thread counts for itself, without a lock or a locked operation, and whoever asks gets the sums. Rates, and latencies of the last
/// seconds, come from the difference of two snapshots. An endpoint for Prometheus may ask for everything as [families](Self::families),
/// so that nobody else has to [count](super::MetricsLayer::recorded).
///
/// ```
/// use tunnel_layers::metrics::{MetricsLayer, Overview};
///
/// let overview = Overview::new();
/// let layer = MetricsLayer::new().overview(overview.clone());
/// // Around a service that has served something:
/// # let _ = layer;
/// for row in overview.snapshot() {
///     println!("{} {} {} open, {:?}", row.rule, row.requests, row.open, row.latency_quantile(0.99));
/// }
/// ```
#[derive(Clone, Default)]
pub struct Overview(Arc<Tables>);

#[derive(Default)]
struct Tables {
    rows: Mutex<BTreeMap<Name, Arc<Cell>>>,
    agents: Mutex<BTreeMap<AgentName, Arc<Cell>>>,
}

/// The labels of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) rule: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) role: &'static str,
    pub(super) protocol: &'static str,
    /// The agent that serves all of it, where the layer is an agent's: no label, but its row is the sum of these.
    pub(super) own: Option<Arc<str>>,
}

/// The labels of an agent's row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AgentName {
    pub(super) agent: Arc<str>,
    pub(super) role: &'static str,
}

/// The exchanges of one rule and target. All counts are since the start of the process, but for `open`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Row {
    /// The id of the rule; empty for what no rule matched, `other` for rules beyond the bound.
    pub rule: Arc<str>,
    /// The group that serves it; empty if none does.
    pub group: Arc<str>,
    /// The upstream of the gateway that serves it; empty if none does.
    pub upstream: Arc<str>,
    /// The numbers.
    pub counts: Counts,
}

/// The exchanges that one agent has served. All counts are since the start of the process, but for `open`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AgentRow {
    /// The agent's name; `other` for agents beyond the bound.
    pub agent: Arc<str>,
    /// The numbers.
    pub counts: Counts,
}

/// Numbers of exchanges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How many have begun: the rule's hits.
    pub requests: u64,
    /// How many have not ended.
    pub open: u64,
    /// How many ended with each class of status: without an answer, 1xx, 2xx, 3xx, 4xx, 5xx. A call of gRPC counts as what its
    /// `grpc-status` means in HTTP: OK as 2xx, what the caller brought about as 4xx, all else as 5xx.
    pub statuses: [u64; 6],
    /// How many failed in the tunnel, or were given up, by the word of the cause; only those that there are.
    pub failures: Vec<(&'static str, u64)>,
    /// The bytes of requests' bodies, and of what clients sent on upgraded streams.
    pub bytes_in: u64,
    /// The bytes of responses' bodies, and of what was sent to clients on upgraded streams.
    pub bytes_out: u64,
    /// How many took how long until the response's head: place `n` counts times of at least 2^n microseconds and less than
    /// 2^(n+1), place 0 all below 2 microseconds, the last all above. Exchanges without an answer are not in it.
    pub latencies: [u64; LATENCY_BUCKETS],
    /// The sum of these times.
    pub latency_sum: Duration,
}

impl std::ops::Deref for Row {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

impl std::ops::Deref for AgentRow {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

impl Counts {
    /// The time below which this share of the answers was there (0.5 for the median), to a factor of two; `None` without answers.
    #[must_use]
    pub fn latency_quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.latencies.iter().sum();
        let wanted = (share.clamp(0.0, 1.0) * all as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let place = self.latencies.iter().position(|count| {
            below += count;
            below >= wanted
        })?;
        (all > 0).then(|| Duration::from_micros(1 << (place + 1)))
    }

    /// How many failed in the tunnel, or were given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|(_, count)| count).sum()
    }

    /// What has happened since `earlier`, which must be of the same row; `open` is that of now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |word| {
            let found = earlier.failures.iter().find(|(other, _)| *other == word);
            found.map_or(0, |(_, count)| *count)
        };
        let less = |a: &[u64], b: &[u64], at: usize| a[at].saturating_sub(b[at]);
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            open: self.open,
            statuses: std::array::from_fn(|at| less(&self.statuses, &earlier.statuses, at)),
            failures: self
                .failures
                .iter()
                .map(|(word, count)| (*word, count.saturating_sub(before(*word))))
                .filter(|(_, count)| *count > 0)
                .collect(),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            latencies: std::array::from_fn(|at| less(&self.latencies, &earlier.latencies, at)),
            latency_sum: self.latency_sum.saturating_sub(earlier.latency_sum),
        }
    }
}

impl Overview {
    /// One that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers of now, by rule, group and upstream in this order, whatever the protocol and the role. Each is exact; they need not
    /// be of the very same moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Row> {
        let rows = all(&self.0.rows).into_iter();
        let rows = rows.map(|(name, cell)| ((name.rule, name.group, name.upstream), cell));
        summed(rows)
            .into_iter()
            .map(|((rule, group, upstream), sums)| Row {
                rule,
                group,
                upstream,
                counts: (&sums).into(),
            })
            .collect()
    }

    /// The same for agents, by name.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentRow> {
        let cells = self.of_agents().into_iter();
        summed(cells.map(|(name, cell)| (name.agent, cell)))
            .into_iter()
            .map(|(agent, sums)| AgentRow {
                agent,
                counts: (&sums).into(),
            })
            .collect()
    }

    /// The rows by their labels.
    pub(super) fn rows(&self) -> Vec<(Name, Sums)> {
        let rows = all(&self.0.rows).into_iter();
        summed(rows.map(|(name, cell)| (Name { own: None, ..name }, cell)))
    }

    /// The rows of agents by their labels.
    pub(super) fn agent_rows(&self) -> Vec<(AgentName, Sums)> {
        summed(self.of_agents())
    }

    /// What was counted for agents, by their names.
    fn of_agents(&self) -> Vec<(AgentName, Arc<Cell>)> {
        let own = all(&self.0.rows).into_iter().filter_map(|(name, cell)| {
            let role = name.role;
            name.own.map(|agent| (AgentName { agent, role }, cell))
        });
        let mut cells = all(&self.0.agents);
        cells.extend(own);
        cells.sort_by(|(a, _), (b, _)| a.cmp(b));
        cells
    }

    pub(super) fn row(&self, name: Name) -> Arc<Cell> {
        Arc::clone(lock(&self.0.rows).entry(name).or_default())
    }

    pub(super) fn agent_row(&self, name: AgentName) -> Arc<Cell> {
        Arc::clone(lock(&self.0.agents).entry(name).or_default())
    }
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overview")
            .field("rows", &lock(&self.0.rows).len())
            .field("agents", &lock(&self.0.agents).len())
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those that have the same name, which stand together, in one.
fn summed<K: PartialEq>(cells: impl IntoIterator<Item = (K, Arc<Cell>)>) -> Vec<(K, Sums)> {
    let mut rows: Vec<(K, Sums)> = Vec::new();
    for (name, cell) in cells {
        match rows.last_mut() {
            Some((last, sums)) if *last == name => cell.add_to(sums),
            _ => rows.push((name, cell.sums())),
        }
    }
    rows
}

/// By name.
fn all<K: Clone, V>(table: &Mutex<BTreeMap<K, Arc<V>>>) -> Vec<(K, Arc<V>)> {
    let table = lock(table);
    let rows = table.iter().map(|(name, row)| (name.clone(), Arc::clone(row)));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use tunnel_core::Cause;

    use super::*;
    use crate::metrics::{cell::Ending, status::Status};

    fn name(role: &'static str, protocol: &'static str) -> Name {
        Name {
            rule: "a".into(),
            group: "g".into(),
            upstream: "".into(),
            role,
            protocol,
            own: None,
        }
    }

    fn ending(millis: u64) -> Ending {
        Ending {
            status: Status::of_http(200),
            cause: None,
            received: 1,
            sent: 2,
            first_byte: Some(Duration::from_millis(millis).into()),
            duration: Duration::from_millis(millis).into(),
        }
    }

    #[test]
    fn two_snapshots_make_a_rate() {
        let overview = Overview::new();
        let cell = overview.row(name("gateway", "http"));
        for _ in 0..3 {
            cell.begin();
        }
        cell.end(&ending(1));
        let first = overview.snapshot().remove(0);
        assert_eq!((first.requests, first.open, first.bytes_out), (3, 2, 2));
        cell.end(&ending(9));
        cell.end(&Ending {
            status: Status::NONE,
            cause: Some(Cause::ALL[0]),
            first_byte: None,
            ..ending(9)
        });
        let second = overview.snapshot().remove(0);
        let since = second.since(&first);
        assert_eq!((since.requests, since.open, since.bytes_in), (0, 0, 2));
        assert_eq!(since.statuses, [1, 0, 1, 0, 0, 0]);
        assert_eq!(since.failures, [("no-route", 1)]);
        assert_eq!(since.failed(), 1);
        assert_eq!(since.latency_sum, Duration::from_millis(9));
        assert_eq!(since.latency_quantile(0.5), Some(Duration::from_micros(1 << 14)));
        assert_eq!(since.since(&since).latency_quantile(0.5), None);
    }

    #[test]
    fn a_row_is_of_all_protocols_and_roles() {
        let overview = Overview::new();
        for (role, protocol) in [("gateway", "http"), ("gateway", "grpc"), ("local", "http")] {
            let cell = overview.row(name(role, protocol));
            cell.begin();
            cell.end(&ending(1));
            let agent = "x".into();
            overview.agent_row(AgentName { agent, role }).begin();
        }
        overview
            .row(Name {
                group: "".into(),
                ..name("local", "http")
            })
            .begin();
        let rows = overview.snapshot();
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (&*row.group, row.requests, row.open))
            .collect();
        assert_eq!(rows, [("", 1, 1), ("g", 3, 0)]);
        let agents = overview.agents();
        let agents: Vec<_> = agents.iter().map(|row| (&*row.agent, row.open)).collect();
        assert_eq!(agents, [("x", 3)]);
    }

    #[test]
    fn the_row_of_an_agent_that_counts_for_itself_is_the_sum_of_its_rows() {
        let overview = Overview::new();
        for (own, protocol) in [("a", "http"), ("a", "grpc"), ("b", "http")] {
            let own = Some(own.into());
            let name = name("agent", protocol);
            let cell = overview.row(Name { own, ..name });
            cell.begin();
            cell.end(&ending(1));
        }
        let agents = overview.agents();
        let agents: Vec<_> = agents.iter().map(|row| (&*row.agent, row.requests)).collect();
        assert_eq!(agents, [("a", 2), ("b", 1)]);
        // The agent is none of their labels.
        let rows = overview.rows();
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, sums)| (name.protocol, sums.bytes_out))
            .collect();
        assert_eq!(rows, [("grpc", 2), ("http", 4)]);
    }
}
