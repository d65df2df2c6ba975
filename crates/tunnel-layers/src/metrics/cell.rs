//! The counters behind a row.

use thread_local::ThreadLocal;
use tunnel_core::Cause;

use super::{
    overview::Counts,
    status::{Outcome, STATUSES, Status},
    times::{Count, Sorted, Time, Times},
};

/// The exchanges of one set of labels: each thread counts in its own share, for which it needs no locked operation.
#[derive(Default)]
pub(super) struct Cell(ThreadLocal<Share>);

/// What one thread has counted. An exchange may begin in one thread and end in another, so that numbers may be below zero here, which the
/// sums make good. What every exchange adds to stands together.
#[derive(Default)]
#[repr(C)]
struct Share {
    requests: Count,
    ended: Count,
    bytes_in: Count,
    bytes_out: Count,
    outcomes: [Count; Outcome::COUNT],
    statuses: [Count; STATUSES],
    failures: [Count; Cause::ALL.len()],
    first_byte: Times,
    duration: Times,
}

/// What an exchange came to.
pub(super) struct Ending {
    pub(super) status: Status,
    pub(super) cause: Option<Cause>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) first_byte: Option<Time>,
    pub(super) duration: Time,
}

impl Ending {
    #[inline]
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::of(self.status.class, self.cause)
    }
}

/// The place of a cause in [`Cause::ALL`].
pub(super) fn place(cause: Cause) -> usize {
    let place = Cause::ALL.iter().position(|other| *other == cause);
    place.unwrap_or_default()
}

impl Cell {
    #[inline]
    fn mine(&self) -> &Share {
        self.0.get_or_default()
    }

    #[inline]
    pub(super) fn begin(&self) {
        self.mine().requests.add(1);
    }

    /// One that has begun counts elsewhere.
    pub(super) fn forget(&self) {
        self.mine().requests.add(u64::MAX);
    }

    /// One that has begun goes to another agent.
    pub(super) fn leave(&self) {
        let mine = self.mine();
        mine.ended.add(1);
        mine.statuses[Status::NONE.place].add(1);
        mine.outcomes[Outcome::Retried as usize].add(1);
    }

    #[inline]
    pub(super) fn end(&self, ending: &Ending) {
        let mine = self.mine();
        mine.ended.add(1);
        mine.bytes_in.add(ending.received);
        mine.bytes_out.add(ending.sent);
        mine.outcomes[ending.outcome() as usize].add(1);
        mine.statuses[ending.status.place].add(1);
        if let Some(cause) = ending.cause {
            mine.failures[place(cause)].add(1);
        }
        if let Some(time) = ending.first_byte {
            mine.first_byte.add(time);
        }
        mine.duration.add(ending.duration);
    }

    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.add_to(&mut sums);
        sums
    }

    /// Adds what was counted here.
    pub(super) fn add_to(&self, sums: &mut Sums) {
        // Ends first, so that there are never more of them than beginnings.
        for share in &self.0 {
            sums.ended = sums.ended.wrapping_add(share.ended.get());
        }
        for share in &self.0 {
            sums.add(share);
        }
    }
}

/// The sums over threads, and cells.
#[derive(Clone, Default)]
pub(super) struct Sums {
    requests: u64,
    ended: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) outcomes: [u64; Outcome::COUNT],
    pub(super) statuses: [u64; STATUSES],
    failures: [u64; Cause::ALL.len()],
    pub(super) first_byte: Sorted,
    pub(super) duration: Sorted,
}

impl Sums {
    /// All but `ended`.
    fn add(&mut self, share: &Share) {
        let add = |sum: &mut u64, count: &Count| *sum = sum.wrapping_add(count.get());
        let all = |sums: &mut [u64], counts: &[Count]| {
            for (sum, count) in sums.iter_mut().zip(counts) {
                add(sum, count);
            }
        };
        add(&mut self.requests, &share.requests);
        add(&mut self.bytes_in, &share.bytes_in);
        add(&mut self.bytes_out, &share.bytes_out);
        all(&mut self.outcomes, &share.outcomes);
        all(&mut self.statuses, &share.statuses);
        all(&mut self.failures, &share.failures);
        self.first_byte.add(&share.first_byte);
        self.duration.add(&share.duration);
    }

    pub(super) const fn open(&self) -> u64 {
        self.requests.saturating_sub(self.ended)
    }

    /// By the word of the cause; only those that there are.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Cause::ALL.iter().zip(self.failures);
        all.filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (cause.word(), count))
    }
}

impl From<&Sums> for Counts {
    fn from(sums: &Sums) -> Self {
        let mut statuses = [0; Status::CLASSES];
        for (place, count) in sums.statuses.iter().enumerate() {
            statuses[Status::class(place)] += count;
        }
        Self {
            requests: sums.requests,
            open: sums.open(),
            statuses,
            failures: sums.failures().collect(),
            bytes_in: sums.bytes_in,
            bytes_out: sums.bytes_out,
            latencies: sums.first_byte.powers(),
            latency_sum: sums.first_byte.sum(),
        }
    }
}
