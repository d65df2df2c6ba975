//! Messages for exchanges that are not open: late ones, which are normal after a reset, and forged ones, which are not.

use std::time::{Duration, Instant};

use crate::{flow::Overrun, message::MESSAGE_COST};

/// How long a message may be on its way after its exchange has ended.
pub const LATE_FOR: Duration = Duration::from_secs(30);
/// Bytes beyond what was allowed that end the session.
pub const MAX_UNEXPECTED_BYTES: usize = 1024 * 1024;
/// Messages beyond what was allowed that end the session.
pub const MAX_UNEXPECTED_MESSAGES: usize = 1_000;

/// Messages without cost (a window update, a reset, a head) that may cross with the end of an exchange.
const CROSSING: usize = 8;

/// What may still arrive for exchanges that have ended. No exchange is remembered: only sums, of this and the last 30
/// seconds.
#[derive(Debug, Default)]
pub(super) struct Late {
    current: Sums,
    last: Sums,
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Sums {
    allowed_bytes: usize,
    allowed_messages: usize,
    bytes: usize,
    messages: usize,
}

impl Late {
    /// Allows what the peer may have sent before it learns that the exchange has ended: its `outstanding` credit.
    pub(super) fn allow(&mut self, now: Instant, outstanding: usize) {
        self.rotate(now);
        self.current.allowed_bytes += outstanding;
        self.current.allowed_messages += outstanding / (MESSAGE_COST + 1) + CROSSING;
    }

    /// Counts a message of this cost for an exchange that is not open.
    pub(super) fn spend(&mut self, now: Instant, cost: usize) -> Result<(), Overrun> {
        self.rotate(now);
        self.current.bytes += cost;
        self.current.messages += 1;
        let bytes = self.current.bytes + self.last.bytes;
        let messages = self.current.messages + self.last.messages;
        let allowed_bytes = self.current.allowed_bytes + self.last.allowed_bytes;
        let allowed_messages = self.current.allowed_messages + self.last.allowed_messages;
        let is_over = bytes > allowed_bytes + MAX_UNEXPECTED_BYTES
            || messages > allowed_messages + MAX_UNEXPECTED_MESSAGES;
        if is_over { Err(Overrun) } else { Ok(()) }
    }

    fn rotate(&mut self, now: Instant) {
        let age = self
            .since
            .map_or(LATE_FOR * 2, |since| now.saturating_duration_since(since));
        if age >= LATE_FOR {
            let current = std::mem::take(&mut self.current);
            self.last = if age < LATE_FOR * 2 {
                current
            } else {
                Sums::default()
            };
            self.since = Some(now);
        }
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
    fn what_was_allowed_is_free() {
        let (mut late, now) = (Late::default(), start());
        for _ in 0..1_000 {
            late.allow(now, 256 * 1024);
        }
        for _ in 0..4_000 {
            assert_eq!(late.spend(now, 32 * 1024), Ok(()));
        }
    }

    #[test]
    fn forged_messages_end_it() {
        let (mut late, now) = (Late::default(), start());
        let count = (0..2_000).take_while(|_| late.spend(now, 0).is_ok()).count();
        assert_eq!(count, MAX_UNEXPECTED_MESSAGES);
        let mut late = Late::default();
        assert_eq!(late.spend(now, MAX_UNEXPECTED_BYTES), Ok(()));
        assert_eq!(late.spend(now, 1), Err(Overrun));
    }

    #[test]
    fn an_allowance_expires() {
        let (mut late, now) = (Late::default(), start());
        late.allow(now, 64 * MAX_UNEXPECTED_BYTES);
        assert_eq!(
            late.spend(now + LATE_FOR * 2, MAX_UNEXPECTED_BYTES + 1),
            Err(Overrun)
        );
    }

    #[test]
    fn a_few_forged_messages_now_and_then_are_forgotten() {
        let (mut late, mut now) = (Late::default(), start());
        for _ in 0..100 {
            now += LATE_FOR;
            for _ in 0..400 {
                assert_eq!(late.spend(now, 0), Ok(()));
            }
        }
    }
}
