//! How long to wait before the next try.

use std::time::Duration;

use rand::Rng as _;

/// The delays between tries to connect: exponential, with full jitter and a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first delay.
    pub first: Duration,
    /// The bound of every delay.
    pub cap: Duration,
}

impl Backoff {
    /// From 500 ms to 8 s: the agents of a gateway that goes do not all come at once to where it was.
    pub const DEFAULT: Self = Self {
        first: Duration::from_millis(500),
        cap: Duration::from_secs(8),
    };

    /// The bound of the delay after so many failures in a row.
    #[must_use]
    pub fn bound(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first
            .checked_mul(factor)
            .map_or(self.cap, |delay| delay.min(self.cap))
    }

    /// A random delay below the bound, and not below what the gateway asked for.
    pub(crate) fn delay(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let bound = self.bound(failures);
        let jittered = bound.mul_f64(rand::rng().random::<f64>());
        match retry_after {
            // All agents of a gateway may have been told the same.
            Some(after) => after + jittered,
            None => jittered,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<_> = (1..=7).map(|n| Backoff::DEFAULT.bound(n).as_millis()).collect();
        assert_eq!(bounds, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(Backoff::DEFAULT.bound(u32::MAX), Backoff::DEFAULT.cap);
    }

    #[test]
    fn the_delay_has_full_jitter_and_respects_the_gateway() {
        let delays: Vec<_> = (0..1_000).map(|_| Backoff::DEFAULT.delay(20, None)).collect();
        assert!(delays.iter().all(|delay| *delay <= Backoff::DEFAULT.cap));
        assert!(delays.iter().any(|delay| *delay < Duration::from_secs(2)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_secs(6)));
        let after = Duration::from_secs(5);
        assert!(Backoff::DEFAULT.delay(1, Some(after)) >= after);
    }
}
