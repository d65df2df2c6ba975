//! How long things took, sorted into places.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::overview::LATENCY_BUCKETS;

/// The bounds, in seconds, of what times are sorted into where they are told to Prometheus: from a fast answer to a long download.
pub const TIME_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// The same for each agent: fewer, since there may be many of them.
pub const AGENT_TIME_BOUNDS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

/// Two for each power of two: up to the bound that lies behind it, and above.
const PLACES: usize = 2 * LATENCY_BUCKETS;

/// The bound behind each power of two, in nanoseconds; what has none is below it.
const SPLITS: [u64; LATENCY_BUCKETS] = {
    let mut splits = [u64::MAX; LATENCY_BUCKETS];
    let mut at = 0;
    while at < TIME_BOUNDS.len() {
        let bound = (TIME_BOUNDS[at] * 1e9 + 0.5) as u64;
        let power = power(bound);
        assert!(splits[power] == u64::MAX, "two bounds behind one power of two");
        splits[power] = bound;
        at += 1;
    }
    splits
};

/// The power of two of a microsecond that this is not below, or the last place.
const fn power(nanos: u64) -> usize {
    let micros = nanos / 1_000;
    let power = if micros == 0 { 0 } else { micros.ilog2() as usize };
    if power < LATENCY_BUCKETS {
        power
    } else {
        LATENCY_BUCKETS - 1
    }
}

/// A time, and where it is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Time {
    nanos: u64,
    place: usize,
}

impl Time {
    pub(super) const fn as_secs_f64(self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }
}

impl From<Duration> for Time {
    #[inline]
    fn from(time: Duration) -> Self {
        let seconds = time.as_secs().saturating_mul(1_000_000_000);
        let nanos = seconds.saturating_add(time.subsec_nanos().into());
        let power = power(nanos);
        let place = 2 * power + usize::from(nanos > SPLITS[power]);
        Self { nanos, place }
    }
}

/// Numbers of times. One thread alone adds to it.
pub(super) struct Times {
    nanos: Count,
    counts: [Count; PLACES],
}

impl Times {
    #[inline]
    pub(super) fn add(&self, time: Time) {
        self.nanos.add(time.nanos);
        self.counts[time.place].add(1);
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            nanos: Count::default(),
            counts: [const { Count::new() }; PLACES],
        }
    }
}

/// What all threads have counted.
#[derive(Clone)]
pub(super) struct Sorted {
    nanos: u64,
    counts: [u64; PLACES],
}

impl Default for Sorted {
    fn default() -> Self {
        Self {
            nanos: 0,
            counts: [0; PLACES],
        }
    }
}

impl Sorted {
    pub(super) fn add(&mut self, times: &Times) {
        self.nanos = self.nanos.wrapping_add(times.nanos.get());
        for (sum, count) in self.counts.iter_mut().zip(&times.counts) {
            *sum = sum.wrapping_add(count.get());
        }
    }

    pub(super) const fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// By powers of two.
    pub(super) fn powers(&self) -> [u64; LATENCY_BUCKETS] {
        std::array::from_fn(|power| self.counts[2 * power].wrapping_add(self.counts[2 * power + 1]))
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// How many are not above each of these bounds, which are among [`TIME_BOUNDS`].
    pub(super) fn below(&self, bounds: &'static [f64]) -> Vec<(f64, u64)> {
        let below = |bound: &f64| {
            let last = Time::from(Duration::from_secs_f64(*bound)).place;
            let counts = self.counts[..=last].iter();
            (*bound, counts.fold(0_u64, |sum, count| sum.wrapping_add(*count)))
        };
        bounds.iter().map(below).collect()
    }
}

/// A number that one thread alone changes, and all may read.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Relaxed);
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(times: impl IntoIterator<Item = Duration>) -> Sorted {
        let counted = Times::default();
        for time in times {
            counted.add(time.into());
        }
        let mut sorted = Sorted::default();
        sorted.add(&counted);
        sorted
    }

    #[test]
    fn a_bound_belongs_to_what_is_below_it() {
        for bound in TIME_BOUNDS.iter().copied().map(Duration::from_secs_f64) {
            let nano = Duration::from_nanos(1);
            let below = sorted([bound - nano, bound, bound + nano]).below(TIME_BOUNDS);
            let (_, count) = below
                .iter()
                .find(|(other, _)| *other == bound.as_secs_f64())
                .unwrap();
            assert_eq!(*count, 2, "{bound:?}");
        }
    }

    #[test]
    fn each_bound_tells_how_many_are_below() {
        let millis = [0, 1, 2, 3, 400, 9_000, 500_000].map(Duration::from_millis);
        let sorted = sorted(millis);
        assert!(AGENT_TIME_BOUNDS.iter().all(|bound| TIME_BOUNDS.contains(bound)));
        let below: Vec<_> = sorted
            .below(AGENT_TIME_BOUNDS)
            .into_iter()
            .map(|(_, n)| n)
            .collect();
        assert_eq!(below, [4, 4, 5, 6]);
        assert_eq!((sorted.count(), sorted.sum()), (7, millis.iter().sum()));
    }

    #[test]
    fn latencies_fall_into_powers_of_two() {
        for (micros, place) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 1),
            (4, 2),
            (1_000, 9),
            (1_001, 9),
            (1_024, 10),
        ] {
            let powers = sorted([Duration::from_micros(micros)]).powers();
            assert_eq!(
                powers.iter().position(|count| *count == 1),
                Some(place),
                "{micros}"
            );
        }
        let powers = sorted([Duration::MAX]).powers();
        assert_eq!(powers[LATENCY_BUCKETS - 1], 1);
    }
}
