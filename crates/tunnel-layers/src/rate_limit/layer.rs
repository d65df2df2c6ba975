use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use tunnel_core::limits::Rate;

use super::{
    RateLimit,
    limiters::{Limiters, Settings},
};
use crate::key::{Everyone, KeyExtractor};

/// Lets so many requests through in a time; see the [module](super).
///
/// The state is made here. All services that this layer and its clones make share it, and so do their clones; a setter gives a
/// layer with a state of its own.
#[derive(Clone)]
pub struct RateLimitLayer<K = Everyone> {
    limiters: Arc<Limiters>,
    key: K,
}

impl RateLimitLayer {
    /// This rate, for all requests together until [`key`](Self::key) says otherwise.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            limiters: Arc::new(Limiters::new(Settings::new(rate))),
            key: Everyone,
        }
    }

    /// So many requests in each second, and as many at once; at least one.
    #[must_use]
    pub fn per_second(requests: u32) -> Self {
        Self::new(Rate::per_second(requests))
    }

    /// So many requests in each minute, and as many at once; at least one.
    #[must_use]
    pub fn per_minute(requests: u32) -> Self {
        Self::new(Rate::per_minute(requests))
    }

    /// So many requests in each period, and as many at once; see [`Rate::new`].
    #[must_use]
    pub fn per(requests: u32, period: Duration) -> Self {
        Self::new(Rate::new(requests, period))
    }
}

impl<K> RateLimitLayer<K> {
    /// The most requests at once; see [`Rate::burst`].
    #[must_use]
    pub fn burst(self, requests: u32) -> Self {
        self.with(|settings| settings.rate = settings.rate.burst(requests))
    }

    /// Counts by this key: each has the rate for itself.
    #[must_use]
    pub fn key<L: KeyExtractor>(self, key: L) -> RateLimitLayer<L> {
        RateLimitLayer {
            limiters: self.limiters,
            key,
        }
    }

    /// The layer's name: by it rules set a rate for this layer, and `RateLimit-Policy` tells it. `default` if not set.
    #[must_use]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        self.with(|settings| settings.name = name)
    }

    /// How many keys are kept; [`DEFAULT_MAX_KEYS`](super::DEFAULT_MAX_KEYS) if not set. At least 16.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.with(|settings| settings.max_keys = keys)
    }

    /// Whether every response tells in `RateLimit-Policy` and `RateLimit` how much is left, and not just refusals. Not by
    /// default: it says to everybody how the gateway is guarded.
    #[must_use]
    pub fn tell_always(self, always: bool) -> Self {
        self.with(|settings| settings.tells_always = always)
    }

    /// How many keys are kept now, for all services of this layer.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.limiters.keys()
    }

    /// How many rules have a limiter of their own.
    #[cfg(all(test, feature = "full"))]
    pub(super) fn rules(&self) -> usize {
        self.limiters.rules()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.limiters.settings.clone();
        change(&mut settings);
        self.limiters = Arc::new(Limiters::new(settings));
        self
    }
}

impl<S, K: Clone> Layer<S> for RateLimitLayer<K> {
    type Service = RateLimit<S, K>;

    fn layer(&self, inner: S) -> RateLimit<S, K> {
        RateLimit::new(inner, self.limiters.clone(), self.key.clone())
    }
}

impl<K> fmt::Debug for RateLimitLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiters", &self.limiters)
            .finish_non_exhaustive()
    }
}
