//! What one end has allowed the other to send.

use std::time::{Duration, Instant};

use super::{
    CreditBudget, DEFAULT_INITIAL_CREDIT, MAX_CREDIT, MIN_CREDIT, SHORT_LINK_CREDIT, SHORT_LINK_PROOF,
    budget::Charge, send::most_left,
};
use crate::{lane::SMALL_MESSAGE, message::MESSAGE_COST};

/// On a link faster than this, it is not the round trip that credit has to cover.
pub(super) const SHORT_LINK: Duration = Duration::from_millis(2);
/// The part of a window that is returned at once on a short link, as a divisor.
const SHORT_PART: usize = 2;
/// The same on a long link. What waits to be returned is not on its way: with halves, a link carries only half of a window in each
/// round trip.
const LONG_PART: usize = 8;

/// More was sent than the credit allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// What a receiver knows of the way that the bytes come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The shortest round trip that was measured.
    pub round_trip: Option<Duration>,
    /// How many heads and pieces of body with at most [`SMALL_MESSAGE`] bytes have come on the lane, of all exchanges. It begins anew
    /// after the greatest number.
    pub small: u32,
}

/// What one end has allowed the other to send, and what became of it.
///
/// Every byte of the window is in one of three states: *outstanding* (the peer may send it), *unread* (received, and our
/// consumer has not read it) or *unclaimed* (read, and not yet returned to the peer).
#[derive(Debug)]
pub struct RecvCredit {
    charge: Charge,
    outstanding: usize,
    /// With what is lent.
    unread: usize,
    unclaimed: usize,
    /// Given to the consumer last, who may still hold it.
    lent: usize,
    /// Whether nothing was granted yet.
    withheld: bool,
    /// What the window was at first.
    initial: usize,
    /// All that was read, and what of it before the last small message of another exchange came.
    total: u64,
    disturbed: u64,
    /// Small messages that have come for this exchange, and for others, as far as was known last.
    small: u32,
    others: Option<u32>,
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
        let initial = charge.bytes();
        Self {
            outstanding: initial,
            charge,
            unread: 0,
            unclaimed: 0,
            lent: 0,
            withheld: false,
            initial,
            total: 0,
            disturbed: 0,
            small: 0,
            others: None,
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
        if cost <= SMALL_MESSAGE + MESSAGE_COST {
            self.small = self.small.wrapping_add(1);
        }
        Ok(())
    }

    /// Counts a message that the consumer was given. It is read when the consumer asks for the next one, which is
    /// [`settle`](Self::settle): one that writes to a socket asks when there is room.
    pub fn lend(&mut self, cost: usize) {
        debug_assert!(self.lent + cost <= self.unread, "given more than was received");
        self.lent += cost;
    }

    /// Counts what was lent as read.
    pub fn settle(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        if lent > 0 {
            self.read(lent);
        }
    }

    /// Counts a message that the consumer has read.
    pub fn read(&mut self, cost: usize) {
        debug_assert!(cost <= self.unread, "read more than was received");
        let cost = cost.min(self.unread);
        self.unread -= cost;
        self.unclaimed += cost;
        self.measured += cost;
        self.total += cost as u64;
    }

    /// Counts all that was received as read: nobody will.
    pub fn discard(&mut self) {
        self.lent = 0;
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
    /// The window grows, up to [`MAX_CREDIT`], when the consumer emptied a whole one, but for what is too little for a piece, within two
    /// round trips: then it is the window that limits the flow. It grows to at most five times what goes over the link in one round trip.
    ///
    /// On a short link, or one that was not measured yet, a whole one within 4 ms is what counts, and the window grows to
    /// [`SHORT_LINK_CREDIT`]. So much must have been read before that the consumer is no buffer of a socket that is being filled
    /// ([`SHORT_LINK_PROOF`]), and no small message of another exchange may have come meanwhile: those wait behind all that the window
    /// allows. When one comes, the window shrinks to [`DEFAULT_INITIAL_CREDIT`], if it was not larger at first.
    ///
    /// While the budget is short it shrinks to [`MIN_CREDIT`] instead.
    pub fn claim(&mut self, now: Instant, way: Way) -> Option<u32> {
        if !self.is_due(way.round_trip) {
            return None;
        }
        self.withheld = false;
        let (window, most) = (self.window(), self.most(way));
        if self.charge.is_short() && window > MIN_CREDIT as usize {
            self.shrink_to(MIN_CREDIT as usize);
        } else if window > most {
            self.shrink_to(most);
        } else {
            let more = self.growth(now, (window, most), way.round_trip);
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

    /// What the window may grow to now, and has to shrink to.
    fn most(&mut self, way: Way) -> usize {
        let others = way.small.wrapping_sub(self.small);
        if self.others.replace(others).is_some_and(|before| before != others) {
            self.disturbed = self.total;
        }
        let most = match long_link(way.round_trip) {
            Some(_) => MAX_CREDIT,
            None if self.total < SHORT_LINK_PROOF => 0,
            None if self.total - self.disturbed < SHORT_LINK_PROOF => DEFAULT_INITIAL_CREDIT,
            None => SHORT_LINK_CREDIT,
        };
        self.initial.max(most as usize)
    }

    /// Keeps at most as much to return as makes a window of so many bytes.
    fn shrink_to(&mut self, window: usize) {
        let kept = window
            .saturating_sub(self.outstanding + self.unread)
            .min(self.unclaimed);
        self.unclaimed = kept;
        self.charge.shrink_to(self.outstanding + self.unread + kept);
    }

    /// How many bytes the window should have more: none unless it limits the flow.
    fn growth(
        &mut self,
        now: Instant,
        (window, most): (usize, usize),
        round_trip: Option<Duration>,
    ) -> usize {
        // How long the first part took, nobody knows.
        let Some(from) = self.measured_from else {
            self.measured_from = Some(now);
            return 0;
        };
        if self.measured + most_left(window) < window {
            return 0;
        }
        (self.measured, self.measured_from) = (0, Some(now));
        let elapsed = now.saturating_duration_since(from);
        let long = long_link(round_trip);
        let round_trip = long.unwrap_or(SHORT_LINK);
        let times = if long.is_some() && elapsed <= round_trip * 5 / 4 {
            4
        } else if elapsed <= round_trip * 2 {
            2
        } else {
            1
        };
        (window * times).min(most).saturating_sub(window)
    }
}

/// The round trip, if it is long enough to matter.
fn long_link(round_trip: Option<Duration>) -> Option<Duration> {
    round_trip.filter(|time| *time > SHORT_LINK)
}

#[cfg(test)]
impl RecvCredit {
    /// What the budget is charged.
    pub(crate) fn charged(&self) -> usize {
        self.charge.bytes()
    }
}
