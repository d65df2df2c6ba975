//! Tokens that were good a moment ago.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tunnel_core::Principal;

use super::verify::Outcome;
use crate::auth::cache::{Cache, MAX_REMEMBERED, Weight};

/// Whose the tokens are that were verified, by the SHA-256 of the token.
pub(super) struct Remembered {
    time: Duration,
    taken: Cache<[u8; 32], Taken>,
}

#[derive(Clone)]
struct Taken {
    principal: Principal,
    /// The keys that verified it: it says nothing about any others.
    generation: u64,
}

impl Weight for Taken {
    fn bytes(&self) -> usize {
        self.principal.bytes()
    }
}

impl Remembered {
    pub(super) fn new(time: Duration) -> Self {
        let taken = Cache::new(MAX_REMEMBERED);
        Self { time, taken }
    }

    /// What these keys have said of a token, or else what they say now. Only what is good is remembered: nobody can fill the
    /// table with what he made up.
    pub(super) fn or_check(&self, token: &str, generation: u64, check: impl FnOnce() -> Outcome) -> Outcome {
        if self.time.is_zero() {
            return check();
        }
        let key = Sha256::digest(token.as_bytes()).into();
        if let Some(taken) = self.taken.get(&key)
            && taken.generation == generation
        {
            return Outcome::Verdict(Ok(taken.principal));
        }
        let outcome = check();
        if let Outcome::Verdict(Ok(principal)) = &outcome
            && let Some(until) = self.until(principal)
        {
            let principal = principal.clone();
            self.taken.put(
                key,
                Taken {
                    principal,
                    generation,
                },
                until,
            );
        }
        outcome
    }

    /// None for a token that has expired, and is good for the difference between two clocks only.
    fn until(&self, principal: &Principal) -> Option<Instant> {
        let time = match principal.expires() {
            Some(expires) => expires.duration_since(SystemTime::now()).ok()?.min(self.time),
            None => self.time,
        };
        Instant::now().checked_add(time)
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}
