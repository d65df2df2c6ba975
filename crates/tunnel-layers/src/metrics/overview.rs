use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use thread_local::ThreadLocal;
use tunnel_core::Cause;

/// The buckets of a [`Row`]'s latencies.
pub const LATENCY_BUCKETS: usize = 32;

/// What went through [`MetricsLayer`](super::MetricsLayer)s, in numbers that the process itself can read: for a status page, an
/// admin interface, or a test. Clones are the same one.
///
/// Each thread counts for itself, without a lock or a locked operation, and whoever asks gets the sums. Rates, and latencies of the last seconds, come from the difference of
/// two snapshots.
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
    rows: Mutex<HashMap<Name, Arc<Cell>>>,
    agents: Mutex<HashMap<Arc<str>, Arc<Cell>>>,
}

/// The rule, the group and the upstream.
pub(super) type Name = (Arc<str>, Arc<str>, Arc<str>);

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

    /// The numbers of now, by rule, group and upstream in this order. Each is exact; they need not be of the very same moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Row> {
        let cells: Vec<_> = lock(&self.0.rows)
            .iter()
            .map(|(name, cell)| (name.clone(), Arc::clone(cell)))
            .collect();
        let rows = cells.into_iter().map(|((rule, group, upstream), cell)| Row {
            rule,
            group,
            upstream,
            counts: cell.counts(),
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| (&a.rule, &a.group, &a.upstream).cmp(&(&b.rule, &b.group, &b.upstream)));
        rows
    }

    /// The same for agents, by name.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentRow> {
        let cells: Vec<_> = lock(&self.0.agents)
            .iter()
            .map(|(name, cell)| (Arc::clone(name), Arc::clone(cell)))
            .collect();
        let mut rows: Vec<_> = cells
            .into_iter()
            .map(|(agent, cell)| AgentRow {
                agent,
                counts: cell.counts(),
            })
            .collect();
        rows.sort_by(|a, b| a.agent.cmp(&b.agent));
        rows
    }

    pub(super) fn cell(&self, name: Name) -> Arc<Cell> {
        Arc::clone(lock(&self.0.rows).entry(name).or_default())
    }

    pub(super) fn agent(&self, name: Arc<str>) -> Arc<Cell> {
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

/// The counters behind a row: each thread counts in its own, for which it needs no locked operation.
#[derive(Default)]
pub(super) struct Cell(ThreadLocal<Share>);

/// What one thread has counted. An exchange may begin in one thread and end in another, so that numbers may be below zero here, which the
/// sums make good.
#[derive(Default)]
struct Share {
    requests: Count,
    ended: Count,
    statuses: [Count; 6],
    failures: [Count; Cause::ALL.len()],
    bytes_in: Count,
    bytes_out: Count,
    latencies: [Count; LATENCY_BUCKETS],
    latency_nanos: Count,
}

/// A number that one thread alone changes, and all may read.
#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    #[inline]
    fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Relaxed);
    }

    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one exchange adds when it ends.
#[derive(Default)]
pub(super) struct Sample {
    /// A place in [`Counts::statuses`].
    pub(super) class: usize,
    /// A place in [`Cause::ALL`].
    pub(super) cause: Option<usize>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) first_byte: Option<Duration>,
}

impl Cell {
    #[inline]
    fn mine(&self) -> &Share {
        self.0.get_or_default()
    }

    pub(super) fn begin(&self) {
        self.mine().requests.add(1);
    }

    /// One that has begun counts elsewhere.
    pub(super) fn forget(&self) {
        self.mine().requests.add(u64::MAX);
    }

    pub(super) fn end(&self, sample: &Sample) {
        let mine = self.mine();
        mine.ended.add(1);
        mine.statuses[sample.class].add(1);
        if let Some(cause) = sample.cause {
            mine.failures[cause].add(1);
        }
        mine.bytes_in.add(sample.received);
        mine.bytes_out.add(sample.sent);
        if let Some(time) = sample.first_byte {
            mine.latencies[bucket(time)].add(1);
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            mine.latency_nanos.add(nanos);
        }
    }

    fn sum(&self, of: impl Fn(&Share) -> &Count) -> u64 {
        let counts = self.0.iter().map(|share| of(share).get());
        counts.fold(0, u64::wrapping_add)
    }

    fn counts(&self) -> Counts {
        // Ends first, so that there are never more of them than beginnings.
        let ended = self.sum(|share| &share.ended);
        let requests = self.sum(|share| &share.requests);
        let failures = Cause::ALL.iter().enumerate();
        Counts {
            requests,
            open: requests.saturating_sub(ended),
            statuses: std::array::from_fn(|at| self.sum(|share| &share.statuses[at])),
            failures: failures
                .map(|(at, cause)| (cause.word(), self.sum(|share| &share.failures[at])))
                .filter(|(_, count)| *count > 0)
                .collect(),
            bytes_in: self.sum(|share| &share.bytes_in),
            bytes_out: self.sum(|share| &share.bytes_out),
            latencies: std::array::from_fn(|at| self.sum(|share| &share.latencies[at])),
            latency_sum: Duration::from_nanos(self.sum(|share| &share.latency_nanos)),
        }
    }
}

fn bucket(time: Duration) -> usize {
    let micros = time.as_micros().max(1);
    (micros.ilog2() as usize).min(LATENCY_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(first_byte: Duration) -> Sample {
        Sample {
            class: 2,
            cause: None,
            received: 1,
            sent: 2,
            first_byte: Some(first_byte),
        }
    }

    #[test]
    fn latencies_fall_into_powers_of_two() {
        for (micros, place) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (1_000, 9), (1_024, 10)] {
            assert_eq!(bucket(Duration::from_micros(micros)), place, "{micros}");
        }
        assert_eq!(bucket(Duration::MAX), LATENCY_BUCKETS - 1);
    }

    #[test]
    fn two_snapshots_make_a_rate() {
        let overview = Overview::new();
        let cell = overview.cell(("a".into(), "g".into(), "".into()));
        for _ in 0..3 {
            cell.begin();
        }
        cell.end(&sample(Duration::from_millis(1)));
        let first = overview.snapshot().remove(0);
        assert_eq!((first.requests, first.open, first.bytes_out), (3, 2, 2));
        cell.end(&sample(Duration::from_millis(9)));
        cell.end(&Sample {
            class: 0,
            cause: Some(0),
            first_byte: None,
            ..sample(Duration::ZERO)
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
}
