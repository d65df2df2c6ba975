//! Who fails more than others gets nothing for a while.

use std::time::{Duration, Instant};

use super::Outcome;

/// When an endpoint is ejected: it gets nothing for a while, each time for longer, and then it is tried again.
///
/// Ejections never take away so many that the others drown: of all endpoints, at most [`max_ejected`](Self::max_ejected)
/// percent, but one of two or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outliers {
    /// So many failures after each other eject; 0 for never.
    pub consecutive_failures: u32,
    /// Fewer successes than this, in percent of at least [`min_exchanges`](Self::min_exchanges) in a time of
    /// [`interval`](Self::interval), eject; 0 for never.
    pub min_success_percent: u8,
    /// How many exchanges there must have been.
    pub min_exchanges: u32,
    /// The time over which successes are counted.
    pub interval: Duration,
    /// How long the first ejection lasts; the second twice as long, and so on.
    pub ejection: Duration,
    /// How long an ejection lasts at most. An endpoint that was well for so long begins with the first again.
    pub max_ejection: Duration,
    /// The most endpoints that are out at a time, in percent.
    pub max_ejected: u8,
}

impl Default for Outliers {
    /// Five failures after each other, or fewer than 50 % of 20 in 10 s; out for 30 s to 5 minutes; at most half of all.
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            min_success_percent: 50,
            min_exchanges: 20,
            interval: Duration::from_secs(10),
            ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected: 50,
        }
    }
}

impl Outliers {
    /// How many of `endpoints` may be out at a time.
    #[must_use]
    pub fn most(&self, endpoints: usize) -> usize {
        let share = endpoints * usize::from(self.max_ejected.min(100)) / 100;
        match endpoints {
            0 | 1 => 0,
            _ if self.max_ejected == 0 => 0,
            _ => share.max(1),
        }
    }
}

/// The failures of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ejection {
    in_a_row: u32,
    window: Option<Window>,
    /// How often it has been ejected without having been well for long.
    times: u32,
    span: Option<(Instant, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    exchanges: u32,
    successes: u32,
}

impl Ejection {
    pub(super) fn span(&self, now: Instant) -> Option<(Instant, Instant)> {
        self.span.filter(|(_, until)| now < *until)
    }

    /// Whether this ejects it.
    pub(super) fn note(&mut self, outcome: Outcome, now: Instant, outliers: &Outliers) -> bool {
        // What was sent before the ejection tells nothing new.
        if self.span(now).is_some() {
            return false;
        }
        let mut window = match self.window {
            Some(window) if now.saturating_duration_since(window.since) < outliers.interval => window,
            _ => Window {
                since: now,
                exchanges: 0,
                successes: 0,
            },
        };
        window.exchanges = window.exchanges.saturating_add(1);
        match outcome {
            Outcome::Success => {
                self.in_a_row = 0;
                window.successes = window.successes.saturating_add(1);
            }
            Outcome::Failure => self.in_a_row = self.in_a_row.saturating_add(1),
        }
        self.window = Some(window);
        let fails = outliers.consecutive_failures > 0 && self.in_a_row >= outliers.consecutive_failures;
        let percent = u64::from(window.successes) * 100;
        let least = u64::from(window.exchanges) * u64::from(outliers.min_success_percent);
        let is_poor = window.exchanges >= outliers.min_exchanges.max(1) && percent < least;
        if fails || is_poor {
            self.eject(now, outliers);
        }
        fails || is_poor
    }

    fn eject(&mut self, now: Instant, outliers: &Outliers) {
        let was_well = self
            .span
            .is_some_and(|(_, until)| now.saturating_duration_since(until) >= outliers.max_ejection);
        self.times = if was_well { 1 } else { self.times.saturating_add(1) };
        let time = outliers
            .ejection
            .saturating_mul(self.times)
            .min(outliers.max_ejection);
        self.span = Some((now, now + time));
        self.in_a_row = 0;
        self.window = None;
    }
}
