//! What the sessions of a process have counted.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{reason::ResetReason, sync::lock};

/// Counts that the sessions of a process share: [`Session::tallied`](crate::Session::tallied) gives one to a session. Clones are the
/// same one.
///
/// Nothing is counted for single messages: what is counted happens at most a few times in an exchange, or when something is
/// wrong. Each count is a relaxed atomic.
#[derive(Clone, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
    granted: AtomicU64,
    sent_resets: [AtomicU64; ResetReason::ALL.len()],
    received_resets: [AtomicU64; ResetReason::ALL.len()],
    starved: Mutex<Starved>,
}

/// Those who wait for credit. The time of those who wait still is known at any time, and nobody has to be visited for it.
#[derive(Default)]
struct Starved {
    waiting: u64,
    /// When time began here, which is when somebody had to wait for the first time.
    epoch: Option<Instant>,
    /// The sum of the ends, less that of the beginnings, in nanoseconds since the epoch.
    nanos: i128,
}

impl Starved {
    fn since_epoch(&mut self, now: Instant) -> i128 {
        let epoch = *self.epoch.get_or_insert(now);
        i128::try_from(now.saturating_duration_since(epoch).as_nanos()).unwrap_or(i128::MAX)
    }
}

/// The counts of one moment; all since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tallied {
    /// Exchanges that this end has opened.
    pub opened: u64,
    /// Exchanges that the other end has opened here.
    pub accepted: u64,
    /// Exchanges that the other end wanted to open, and that were refused for lack of room or because this end is stopping.
    pub refused: u64,
    /// Messages for exchanges that were not open any more.
    pub late: u64,
    /// Bytes of credit that were granted to the other end.
    pub granted: u64,
    /// Resets that were sent, by reason, in the order of [`ResetReason::ALL`].
    pub sent_resets: Vec<(ResetReason, u64)>,
    /// Resets that came.
    pub received_resets: Vec<(ResetReason, u64)>,
    /// Directions of exchanges that have something to send, or would ask for it, and no credit, at this moment.
    pub starved_now: u64,
    /// How long all such directions have waited for credit, in all.
    pub starved: Duration,
}

impl Tally {
    /// One that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted until `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> Tallied {
        let load = |count: &AtomicU64| count.load(Relaxed);
        let by_reason = |counts: &[AtomicU64]| {
            let counts = ResetReason::ALL.iter().copied().zip(counts.iter().map(load));
            counts.collect()
        };
        let (starved_now, starved) = {
            let mut starved = lock(&self.0.starved);
            let at = starved.since_epoch(now);
            let nanos = starved.nanos + at * i128::from(starved.waiting);
            let nanos = u64::try_from(nanos.max(0)).unwrap_or(u64::MAX);
            (starved.waiting, Duration::from_nanos(nanos))
        };
        Tallied {
            opened: load(&self.0.opened),
            accepted: load(&self.0.accepted),
            refused: load(&self.0.refused),
            late: load(&self.0.late),
            granted: load(&self.0.granted),
            sent_resets: by_reason(&self.0.sent_resets),
            received_resets: by_reason(&self.0.received_resets),
            starved_now,
            starved,
        }
    }

    pub(crate) fn opened(&self, granted: usize) {
        self.0.opened.fetch_add(1, Relaxed);
        self.granted(granted);
    }

    pub(crate) fn accepted(&self, granted: usize) {
        self.0.accepted.fetch_add(1, Relaxed);
        self.granted(granted);
    }

    pub(crate) fn refused(&self) {
        self.0.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn late(&self) {
        self.0.late.fetch_add(1, Relaxed);
    }

    pub(crate) fn granted(&self, bytes: usize) {
        self.0.granted.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn sent_reset(&self, reason: ResetReason) {
        count(&self.0.sent_resets, reason);
    }

    pub(crate) fn received_reset(&self, reason: ResetReason) {
        count(&self.0.received_resets, reason);
    }

    /// Somebody waits for credit from now on.
    pub(crate) fn starves(&self, now: Instant) {
        let mut starved = lock(&self.0.starved);
        starved.nanos -= starved.since_epoch(now);
        starved.waiting += 1;
    }

    /// Somebody waits no longer.
    pub(crate) fn fed(&self, now: Instant) {
        let mut starved = lock(&self.0.starved);
        starved.nanos += starved.since_epoch(now);
        starved.waiting = starved.waiting.saturating_sub(1);
    }
}

fn count(counts: &[AtomicU64], reason: ResetReason) {
    // Reasons are numbered as they are listed.
    if let Some(count) = counts.get(reason.code() as usize) {
        count.fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("opened", &self.0.opened)
            .field("accepted", &self.0.accepted)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
        Instant::now()
    }

    #[test]
    fn reasons_are_numbered_as_they_are_listed() {
        for (place, reason) in ResetReason::ALL.iter().enumerate() {
            assert_eq!(reason.code() as usize, place);
        }
        let tally = Tally::new();
        tally.sent_reset(ResetReason::Deadline);
        let sent = tally.at(start()).sent_resets;
        assert!(sent.contains(&(ResetReason::Deadline, 1)));
        assert_eq!(sent.iter().map(|(_, count)| count).sum::<u64>(), 1);
    }

    #[test]
    fn who_still_waits_has_waited() {
        let (tally, start) = (Tally::new(), start());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(tally.at(start).starved, Duration::ZERO);
        tally.starves(after(1));
        tally.starves(after(2));
        let both = tally.at(after(4));
        assert_eq!((both.starved_now, both.starved), (2, Duration::from_secs(5)));
        tally.fed(after(4));
        tally.fed(after(5));
        let none = tally.at(after(100));
        assert_eq!((none.starved_now, none.starved), (0, Duration::from_secs(6)));
    }
}
