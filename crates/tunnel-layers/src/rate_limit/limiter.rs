//! One rate, and who is within it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::{StateInformationMiddleware, StateSnapshot},
};
use http::HeaderValue;
use tunnel_core::limits::Rate;

use super::{
    fields,
    table::{Part, Table},
};
use crate::{clock, key::Key};

/// Decides for one rate; its state stands in a table that it shares with others.
pub(super) struct Limiter {
    rate: Rate,
    gate: RateLimiter<Key, Part, TokioClock, StateInformationMiddleware>,
    /// What `RateLimit-Policy` says of it.
    policy: HeaderValue,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go on; so many may follow at once, and all that may be there at once is back after `reset`.
    Within { remaining: u32, reset: Duration },
    /// It may not; it may be tried again after this.
    Beyond { retry_after: Duration },
}

impl Limiter {
    pub(super) fn new(name: &str, rate: Rate, table: &Arc<Table>) -> Self {
        let quota = Quota::with_period(rate.interval())
            // An interval is never zero; and if it were, this is what comes nearest.
            .unwrap_or_else(|| Quota::per_second(rate.requests()))
            .allow_burst(rate.burst_size());
        Self {
            rate,
            gate: RateLimiter::new(quota, Part::new(table.clone()), TokioClock),
            policy: fields::policy(name, rate),
        }
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) const fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// Takes a place for this key, if there is one.
    pub(super) fn check(&self, key: Key) -> Verdict {
        match self.gate.check_key(&key) {
            Ok(snapshot) => self.within(&snapshot),
            Err(until) => Verdict::Beyond {
                retry_after: until.wait_time_from(self.gate.clock().now()),
            },
        }
    }

    fn within(&self, snapshot: &StateSnapshot) -> Verdict {
        let remaining = snapshot.remaining_burst_capacity();
        let used = self.rate.burst_size().get().saturating_sub(remaining);
        Verdict::Within {
            remaining,
            reset: self.rate.interval().saturating_mul(used),
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// Tokio's clock, which tests can stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokioClock;

impl Clock for TokioClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        clock::now().into_std()
    }
}
