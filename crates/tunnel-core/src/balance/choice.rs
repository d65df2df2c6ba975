//! What a policy chooses from, and what it chooses by.

use std::time::Instant;

use super::Stats;

/// The highest weight of an endpoint.
pub(super) const MAX_WEIGHT: u32 = 1_000;

/// How finely weights are divided while a slow start lasts.
pub(super) const WEIGHT_UNIT: u32 = 64;

/// One of several that could take an exchange.
pub trait Endpoint {
    /// Its name, which stays the same for as long as it means the same: consistent hashing goes by it.
    fn name(&self) -> &str;

    /// Its share beside the others: 1 to 1,000. Other values are brought into these bounds.
    fn weight(&self) -> u32 {
        1
    }

    /// The exchanges that it has open.
    fn pending(&self) -> usize;

    /// Where it is, if that is known.
    fn zone(&self) -> Option<&str> {
        None
    }

    /// How it has been doing.
    fn stats(&self) -> &Stats;
}

impl<E: Endpoint + ?Sized> Endpoint for &E {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn weight(&self) -> u32 {
        (**self).weight()
    }

    fn pending(&self) -> usize {
        (**self).pending()
    }

    fn zone(&self) -> Option<&str> {
        (**self).zone()
    }

    fn stats(&self) -> &Stats {
        (**self).stats()
    }
}

/// An endpoint that can take the exchange, with the weight that it has now.
#[derive(Debug)]
pub struct Candidate<'a, E> {
    /// The endpoint.
    pub endpoint: &'a E,
    /// Its weight in 64ths, so that a slow start may begin below 1. Never 0.
    pub weight: u32,
}

impl<E> Clone for Candidate<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Candidate<'_, E> {}

/// The exchange that is to be placed, as far as policies care.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The time.
    pub now: Instant,
    /// What has to come to the same endpoint again, as [`key_hash`](super::key_hash) makes it; `None` if nothing has.
    pub key: Option<u64>,
}

impl Choice {
    /// An exchange that may go to anyone.
    #[must_use]
    pub const fn at(now: Instant) -> Self {
        Self { now, key: None }
    }

    /// An exchange that goes where others with this key went.
    #[must_use]
    pub const fn keyed(self, key: u64) -> Self {
        Self {
            now: self.now,
            key: Some(key),
        }
    }
}
