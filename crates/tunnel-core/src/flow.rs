//! Credit: the bytes that a receiver has allowed for one direction of one exchange.
//!
//! A message with body bytes costs their length and [`MESSAGE_COST`], counted alike at both ends. The sender never sends
//! beyond its [`SendCredit`]; the receiver returns credit as its consumer reads, in parts of the window that suit the link.
//! All credit granted by a process comes from one [`CreditBudget`].

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::message::MESSAGE_COST;

/// Credit at the start of each direction, in bytes: four of the largest chunks, and enough for 250 MiB/s at one millisecond.
pub const DEFAULT_INITIAL_CREDIT: u32 = 256 * 1024;
/// What credit may grow to, in bytes: 140 MiB/s over a link with a round trip of 100 ms.
pub const MAX_CREDIT: u32 = 16 * 1024 * 1024;
/// What credit may grow to on a link whose round trip is not longer than 2 ms, in bytes. The link needs less; but each return of half a
/// window wakes the sender, and with small windows both ends spend their time on waking each other.
pub const SHORT_LINK_CREDIT: u32 = 2 * DEFAULT_INITIAL_CREDIT;
/// What an exchange gets when the budget is short, in bytes: one piece of a useful size, so that it always moves.
pub const MIN_CREDIT: u32 = 32 * 1024;
/// All credit that a process grants, in bytes.
pub const DEFAULT_BUDGET: usize = 256 * 1024 * 1024;

/// Pieces of a body are not cut smaller than this for want of credit (RFC 9293, section 3.8.6.2.1, has the reasons).
const SMALLEST_CUT: usize = 4 * 1024;
/// On a link faster than this, it is not the round trip that credit has to cover.
const SHORT_LINK: Duration = Duration::from_millis(2);
/// The part of a window that is returned at once on a short link, as a divisor.
const SHORT_PART: usize = 2;
/// The same on a long link. What waits to be returned is not on its way: with halves, a link carries only half of a window in each
/// round trip.
const LONG_PART: usize = 8;

/// More credit was granted than can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// More was sent than the credit allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// What one end may still send in one direction.
#[derive(Debug)]
pub struct SendCredit {
    available: usize,
    smallest_cut: usize,
}

impl SendCredit {
    /// The largest credit there can be, in bytes (RFC 9113, section 6.9.1, has the same).
    pub const MAX: usize = (1 << 31) - 1;

    /// Starts with `available` bytes, of windows that are `window` bytes large; less is available while the other end
    /// holds credit back.
    #[must_use]
    pub fn new(available: u32, window: u32) -> Self {
        Self {
            available: available as usize,
            smallest_cut: SMALLEST_CUT.min(window as usize / 4).max(1),
        }
    }

    /// The bytes that are left.
    #[must_use]
    pub fn available(&self) -> usize {
        self.available
    }

    /// Whether [`take`](Self::take) would give anything for a body of unknown size.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.available >= self.smallest_cut + MESSAGE_COST
    }

    /// Takes credit for at most `wanted` bytes of body, and says for how many; `None` when it must wait for more.
    ///
    /// A piece is cut short only to a useful size. That never waits for ever: the receiver returns credit when half of
    /// its window is unclaimed, if not before, and less than a quarter of it is left here.
    pub fn take(&mut self, wanted: usize) -> Option<usize> {
        let room = self.available.saturating_sub(MESSAGE_COST);
        let piece = wanted.min(room);
        if piece == 0 || (piece < wanted && piece < self.smallest_cut) {
            return None;
        }
        self.available -= piece + MESSAGE_COST;
        Some(piece)
    }

    /// Takes credit for a piece of a frame, with at most `wanted` bytes: as [`take`](Self::take), but an empty frame costs its
    /// message too.
    pub fn take_frame(&mut self, wanted: usize) -> Option<usize> {
        if wanted > 0 {
            return self.take(wanted);
        }
        self.available = self.available.checked_sub(MESSAGE_COST)?;
        Some(0)
    }

    /// Gives back what was taken and not sent.
    pub fn refund(&mut self, bytes: usize) {
        self.available += bytes;
    }

    /// Adds what the receiver has returned.
    ///
    /// # Errors
    ///
    /// [`Overflow`] beyond [`MAX`](Self::MAX): the peer counts wrongly.
    pub fn grow(&mut self, bytes: u32) -> Result<(), Overflow> {
        match self.available.checked_add(bytes as usize) {
            Some(sum) if sum <= Self::MAX => {
                self.available = sum;
                Ok(())
            }
            _ => Err(Overflow),
        }
    }
}

/// What one end has allowed the other to send, and what became of it.
///
/// Every byte of the window is in one of three states: *outstanding* (the peer may send it), *unread* (received, and our
/// consumer has not read it) or *unclaimed* (read, and not yet returned to the peer).
#[derive(Debug)]
pub struct RecvCredit {
    charge: Charge,
    outstanding: usize,
    unread: usize,
    unclaimed: usize,
    /// Whether nothing was granted yet.
    withheld: bool,
    /// Read since `measured_from`, to see how fast the consumer empties a window.
    measured: usize,
    measured_from: Option<Instant>,
}

impl RecvCredit {
    /// Grants `wanted` bytes if the budget has them, else [`MIN_CREDIT`].
    #[must_use]
    pub fn grant(budget: &CreditBudget, wanted: u32) -> Self {
        let charge = budget.try_charge(wanted as usize);
        Self::with_charge(charge.unwrap_or_else(|| budget.charge(wanted.min(MIN_CREDIT) as usize)))
    }

    /// Grants exactly `granted` bytes, because the peer was promised them already. When the budget is short, they are
    /// not returned in full as they are read.
    #[must_use]
    pub fn promised(budget: &CreditBudget, granted: u32) -> Self {
        Self::with_charge(budget.charge(granted as usize))
    }

    /// Grants nothing yet: the whole window is unclaimed until [`claim`](Self::claim).
    #[must_use]
    pub fn withheld(budget: &CreditBudget, window: u32) -> Self {
        let mut credit = Self::promised(budget, window);
        credit.unclaimed = std::mem::take(&mut credit.outstanding);
        credit.withheld = true;
        credit
    }

    fn with_charge(charge: Charge) -> Self {
        Self {
            outstanding: charge.bytes,
            charge,
            unread: 0,
            unclaimed: 0,
            withheld: false,
            measured: 0,
            measured_from: None,
        }
    }

    /// What the peer may send now, in bytes.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// What was received and not read, in bytes.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// The window: all that is granted, received or about to be returned, in bytes.
    #[must_use]
    pub fn window(&self) -> usize {
        self.outstanding + self.unread + self.unclaimed
    }

    /// Counts a message that arrived.
    ///
    /// # Errors
    ///
    /// [`Overrun`] when the peer sent more than it may; nothing is counted then.
    pub fn receive(&mut self, cost: usize) -> Result<(), Overrun> {
        self.outstanding = self.outstanding.checked_sub(cost).ok_or(Overrun)?;
        self.unread += cost;
        Ok(())
    }

    /// Counts a message that the consumer has read.
    pub fn read(&mut self, cost: usize) {
        debug_assert!(cost <= self.unread, "read more than was received");
        let cost = cost.min(self.unread);
        self.unread -= cost;
        self.unclaimed += cost;
        self.measured += cost;
    }

    /// Counts all that was received as read: nobody will.
    pub fn discard(&mut self) {
        self.unclaimed += std::mem::take(&mut self.unread);
    }

    /// Whether [`claim`](Self::claim) would return anything.
    #[must_use]
    pub fn is_due(&self, round_trip: Option<Duration>) -> bool {
        let part = long_link(round_trip).map_or(SHORT_PART, |_| LONG_PART);
        self.unclaimed > 0 && self.unclaimed * part >= self.window()
    }

    /// What to return to the peer now for bytes that were discarded: nothing until half of the window is unclaimed. The window
    /// never grows. Credit that was withheld stays so: nobody asked for the body.
    pub fn claim_discarded(&mut self) -> Option<u32> {
        if self.withheld || !self.is_due(None) {
            return None;
        }
        let returned = std::mem::take(&mut self.unclaimed);
        self.outstanding += returned;
        u32::try_from(returned).ok()
    }

    /// What to return to the peer now: nothing until half of the window is unclaimed, or an eighth if the link is long, so that
    /// nearly a whole window is on its way at any time.
    ///
    /// The window grows, up to [`MAX_CREDIT`], when the consumer emptied a whole one within two round trips: then it is the window
    /// that limits the flow. It grows to at most five times what goes over the link in one round trip. On a short link, or one that
    /// was not measured yet, a whole one within 4 ms is what counts, and it grows to [`SHORT_LINK_CREDIT`]. While the budget is
    /// short it shrinks to [`MIN_CREDIT`] instead.
    pub fn claim(&mut self, now: Instant, round_trip: Option<Duration>) -> Option<u32> {
        if !self.is_due(round_trip) {
            return None;
        }
        self.withheld = false;
        let window = self.window();
        if self.charge.budget.is_short() && window > MIN_CREDIT as usize {
            self.shrink();
        } else {
            let more = self.growth(now, window, round_trip);
            if more > 0 && self.charge.try_grow(more) {
                self.unclaimed += more;
            }
        }
        let returned = std::mem::take(&mut self.unclaimed);
        self.outstanding += returned;
        u32::try_from(returned).ok().filter(|bytes| *bytes > 0)
    }

    /// Gives up what the peer will not send any more, because its direction has ended.
    pub fn end(&mut self) {
        self.outstanding = 0;
        self.unclaimed = 0;
        self.charge.shrink_to(self.unread);
    }

    /// Keeps only as much to return as makes a window of [`MIN_CREDIT`].
    fn shrink(&mut self) {
        let kept = (MIN_CREDIT as usize)
            .saturating_sub(self.outstanding + self.unread)
            .min(self.unclaimed);
        self.unclaimed = kept;
        self.charge.shrink_to(self.outstanding + self.unread + kept);
    }

    /// How many bytes the window should have more: none unless it limits the flow.
    fn growth(&mut self, now: Instant, window: usize, round_trip: Option<Duration>) -> usize {
        // How long the first part took, nobody knows.
        let Some(from) = self.measured_from else {
            self.measured_from = Some(now);
            return 0;
        };
        if self.measured < window {
            return 0;
        }
        (self.measured, self.measured_from) = (0, Some(now));
        let elapsed = now.saturating_duration_since(from);
        let long = long_link(round_trip);
        let most = long.map_or(SHORT_LINK_CREDIT, |_| MAX_CREDIT);
        let round_trip = long.unwrap_or(SHORT_LINK);
        let times = if long.is_some() && elapsed <= round_trip * 5 / 4 {
            4
        } else if elapsed <= round_trip * 2 {
            2
        } else {
            1
        };
        (window * times).min(most as usize).saturating_sub(window)
    }
}

/// The round trip, if it is long enough to matter.
fn long_link(round_trip: Option<Duration>) -> Option<Duration> {
    round_trip.filter(|time| *time > SHORT_LINK)
}

/// The credit that a process may have granted at one time. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct CreditBudget(Arc<Budget>);

struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl CreditBudget {
    /// A budget of `limit` bytes. It is exceeded only by [`MIN_CREDIT`] for each exchange beyond it, and by what peers
    /// were promised before it ran short.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Budget {
            limit,
            used: AtomicUsize::new(0),
        }))
    }

    /// The bytes granted now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most that may be granted at a time.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    fn is_short(&self) -> bool {
        self.used() > self.0.limit
    }

    fn charge(&self, bytes: usize) -> Charge {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: self.clone(),
            bytes,
        }
    }

    fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let mut charge = self.charge(0);
        charge.try_grow(bytes).then_some(charge)
    }
}

impl Default for CreditBudget {
    fn default() -> Self {
        Self::new(DEFAULT_BUDGET)
    }
}

impl fmt::Debug for CreditBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreditBudget")
            .field("limit", &self.0.limit)
            .field("used", &self.used())
            .finish()
    }
}

/// What one direction has taken out of the budget; goes back when it drops.
#[derive(Debug)]
struct Charge {
    budget: CreditBudget,
    bytes: usize,
}

impl Charge {
    fn try_grow(&mut self, bytes: usize) -> bool {
        let Budget { limit, used } = &*self.budget.0;
        let fits = |now: usize| now.checked_add(bytes).filter(|sum| sum <= limit);
        let grown = used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.budget.0.used.fetch_sub(less, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    impl RecvCredit {
        /// What the budget is charged.
        pub(crate) fn charged(&self) -> usize {
            self.charge.bytes
        }
    }

    const WINDOW: usize = DEFAULT_INITIAL_CREDIT as usize;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
        Instant::now()
    }

    /// Lets the peer fill the window and the consumer empty it, and gives back what is returned.
    fn round(credit: &mut RecvCredit, now: Instant, round_trip: Duration) -> Option<u32> {
        let all = credit.outstanding();
        credit.receive(all).unwrap();
        credit.read(all);
        credit.claim(now, Some(round_trip))
    }

    #[test]
    fn an_empty_frame_waits_for_the_credit_of_its_message() {
        let mut credit = SendCredit::new(2 * MESSAGE_COST as u32 + 10, 1024);
        assert_eq!(credit.take_frame(10), Some(10));
        assert_eq!(
            credit.take_frame(1),
            None,
            "what is left is the cost of a message"
        );
        assert_eq!(credit.take_frame(0), Some(0));
        assert_eq!((credit.take_frame(0), credit.available()), (None, 0));
    }

    #[test]
    fn a_sender_takes_no_more_than_it_has() {
        let mut credit = SendCredit::new(100_000, 256 * 1024);
        assert_eq!(credit.take(60_000), Some(60_000));
        assert_eq!(credit.take(60_000), Some(100_000 - 60_000 - 2 * MESSAGE_COST));
        assert_eq!(credit.take(1), None);
        credit.grow(MESSAGE_COST as u32 + 1).unwrap();
        assert_eq!(credit.take(1), Some(1));
    }

    #[test]
    fn a_sender_does_not_cut_tiny_pieces() {
        let mut credit = SendCredit::new(1_000, 256 * 1024);
        assert_eq!(credit.take(10_000), None);
        assert_eq!(credit.take(900), Some(900));
    }

    #[test]
    fn too_much_credit_is_an_error() {
        let mut credit = SendCredit::new(u32::MAX >> 1, 0);
        assert_eq!(credit.grow(1), Err(Overflow));
        assert_eq!(credit.available(), SendCredit::MAX);
    }

    #[test]
    fn credit_is_returned_at_half_and_never_per_message() {
        let budget = CreditBudget::default();
        let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
        let half = WINDOW / 2;
        credit.receive(half).unwrap();
        credit.read(half - 1);
        assert_eq!(credit.claim(start(), None), None);
        credit.read(1);
        assert_eq!(credit.claim(start(), None), Some(half as u32));
        assert_eq!(credit.window(), WINDOW);
    }

    #[test]
    fn a_long_link_has_its_credit_returned_in_eighths() {
        let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
        let (part, trip) = (WINDOW / 8, Some(SHORT_LINK * 2));
        credit.receive(WINDOW / 2).unwrap();
        credit.read(part - 1);
        assert_eq!(credit.claim(start(), trip), None);
        credit.read(1);
        assert_eq!(credit.claim(start(), trip), Some(part as u32));
    }

    /// How long a body of so many bytes takes over a link, of which this much goes through in a second, when the consumer reads
    /// at once.
    fn transfer(bytes: usize, one_way: Duration, per_second: usize) -> Duration {
        const CHUNK: usize = 32 * 1024;
        let epoch = start();
        let mut receiver = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
        let mut sender = SendCredit::new(DEFAULT_INITIAL_CREDIT, DEFAULT_INITIAL_CREDIT);
        // What is on its way, by the time at which it arrives: pieces of the body, and credit.
        let (mut pieces, mut credits) = (VecDeque::new(), VecDeque::new());
        let (mut now, mut free, mut left) = (Duration::ZERO, Duration::ZERO, bytes);
        loop {
            while let Some(piece) = (left > 0).then(|| sender.take(left.min(CHUNK))).flatten() {
                free = free.max(now) + Duration::from_secs_f64(piece as f64 / per_second as f64);
                pieces.push_back((free + one_way, piece));
                left -= piece;
            }
            let credit_comes = credits.front().map(|(at, _)| *at);
            match pieces.front().copied() {
                None if left == 0 => return now,
                Some((at, piece)) if credit_comes.is_none_or(|credit| at <= credit) => {
                    pieces.pop_front();
                    now = at;
                    receiver.receive(piece + MESSAGE_COST).unwrap();
                    receiver.read(piece + MESSAGE_COST);
                    if let Some(more) = receiver.claim(epoch + now, Some(one_way * 2)) {
                        credits.push_back((now + one_way, more));
                    }
                }
                _ => {
                    let (at, more) = credits.pop_front().expect("else the flow stands still for ever");
                    now = at;
                    sender.grow(more).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_long_link_is_filled() {
        const MIB: usize = 1024 * 1024;
        for (milliseconds, per_second) in [(50, 60 * MIB), (50, 8 * MIB), (10, 400 * MIB), (150, 12 * MIB)] {
            let one_way = Duration::from_millis(milliseconds);
            let alone = one_way.as_secs_f64() + (100 * MIB) as f64 / per_second as f64;
            let took = transfer(100 * MIB, one_way, per_second).as_secs_f64();
            // The first four round trips are spent with little credit.
            let allowed = alone * 1.02 + 8.0 * one_way.as_secs_f64();
            assert!(
                took <= allowed,
                "{milliseconds} ms: {took} s, and {alone} s without credit"
            );
        }
    }

    #[test]
    fn an_overrun_is_noticed() {
        let mut credit = RecvCredit::grant(&CreditBudget::default(), 1_000);
        credit.receive(1_000).unwrap();
        assert_eq!(credit.receive(1), Err(Overrun));
    }

    #[test]
    fn a_window_that_limits_a_long_link_grows_up_to_its_bound() {
        let budget = CreditBudget::default();
        let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
        let (mut now, trip) = (start(), Duration::from_millis(100));
        for _ in 0..20 {
            now += trip;
            round(&mut credit, now, trip).unwrap();
        }
        assert_eq!(credit.window(), MAX_CREDIT as usize);
        assert_eq!(budget.used(), MAX_CREDIT as usize);
    }

    #[test]
    fn a_short_link_gains_less_and_only_for_a_fast_consumer() {
        for trip in [None, Some(Duration::from_micros(50)), Some(SHORT_LINK)] {
            for (pause, most) in [(4, SHORT_LINK_CREDIT), (5, DEFAULT_INITIAL_CREDIT)] {
                let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
                let mut now = start();
                for _ in 0..20 {
                    now += Duration::from_millis(pause);
                    let all = credit.outstanding();
                    credit.receive(all).unwrap();
                    credit.read(all);
                    credit.claim(now, trip).unwrap();
                }
                assert_eq!(credit.window(), most as usize, "{trip:?}, {pause} ms");
            }
        }
    }

    #[test]
    fn a_slow_consumer_gains_no_credit() {
        let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
        let mut now = start();
        for _ in 0..20 {
            now += Duration::from_secs(1);
            round(&mut credit, now, Duration::from_millis(100)).unwrap();
        }
        assert_eq!(credit.window(), WINDOW);
    }

    #[test]
    fn a_short_budget_gives_little_and_grows_nothing() {
        let budget = CreditBudget::new(WINDOW + WINDOW / 2);
        let mut first = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
        let second = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
        assert_eq!(second.window(), MIN_CREDIT as usize);
        let (mut now, trip) = (start(), Duration::from_millis(100));
        for _ in 0..5 {
            now += trip;
            round(&mut first, now, trip).unwrap();
        }
        assert_eq!(first.window(), WINDOW);
        let third = RecvCredit::promised(&budget, DEFAULT_INITIAL_CREDIT);
        round(&mut first, now, trip).unwrap();
        assert_eq!(
            first.window(),
            MIN_CREDIT as usize,
            "what was promised must come back"
        );
        drop((first, second, third));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_end_of_a_direction_frees_what_is_not_unread() {
        let budget = CreditBudget::default();
        let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
        credit.receive(1_000).unwrap();
        credit.end();
        assert_eq!(budget.used(), 1_000);
        assert_eq!(credit.receive(1), Err(Overrun));
    }

    #[test]
    fn withheld_credit_comes_with_the_first_claim() {
        let mut credit = RecvCredit::withheld(&CreditBudget::default(), 1_000);
        assert_eq!(credit.receive(1), Err(Overrun));
        assert_eq!(credit.claim_discarded(), None, "nobody asked for the body");
        assert_eq!(credit.claim(start(), None), Some(1_000));
        assert_eq!(credit.outstanding(), 1_000);
    }
}
