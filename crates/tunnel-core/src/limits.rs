//! What limits a rule asks for, in the place of those that the limiting layers have of their own.

use std::{borrow::Cow, num::NonZeroU32, time::Duration};

/// A bound, or none on purpose. Where a rule says neither (`None` of an `Option<Limit<T>>`), the layer's default holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit<T> {
    /// No more than this.
    To(T),
    /// Without a bound, whatever the default is.
    Unlimited,
}

impl<T> Limit<T> {
    /// The bound, if there is one.
    pub fn bound(self) -> Option<T> {
        match self {
            Self::To(bound) => Some(bound),
            Self::Unlimited => None,
        }
    }
}

impl<T> From<T> for Limit<T> {
    fn from(bound: T) -> Self {
        Self::To(bound)
    }
}

/// The longest time in which a burst that was used up comes back, and the longest period of a rate: a year. Longer ones mean
/// nothing in a process, and the arithmetic of nanoseconds in 64 bits ends at 584 years.
const MAX_SPAN: Duration = Duration::from_secs(366 * 24 * 3_600);

/// How many requests there may be in a time, and how many at once.
///
/// It is a bucket that holds a burst and fills evenly (GCRA): `Rate::per_second(100).burst(20)` lets 20 requests through at
/// once, and then one each 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    requests: NonZeroU32,
    period: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// So many requests in each period, and as many at once. Fewer than one request are taken as one, a period is at least
    /// one nanosecond for each request and at most 366 days.
    #[must_use]
    pub fn new(requests: u32, period: Duration) -> Self {
        let requests = at_least_one(requests);
        let shortest = Duration::from_nanos(u64::from(requests.get()));
        Self {
            requests,
            period: period.clamp(shortest, MAX_SPAN),
            burst: requests,
        }
    }

    /// So many requests in each second, and as many at once; at least one.
    #[must_use]
    pub fn per_second(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(1))
    }

    /// So many requests in each minute, and as many at once; at least one.
    #[must_use]
    pub fn per_minute(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(60))
    }

    /// So many requests in each hour, and as many at once; at least one.
    #[must_use]
    pub fn per_hour(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(3_600))
    }

    /// The most requests at once: at least one, and no more than come back in 366 days.
    #[must_use]
    pub fn burst(mut self, requests: u32) -> Self {
        let most = MAX_SPAN.as_nanos() / self.interval().as_nanos().max(1);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.burst = at_least_one(requests.min(most));
        self
    }

    /// How many requests there may be in a [period](Self::period).
    #[must_use]
    pub const fn requests(&self) -> NonZeroU32 {
        self.requests
    }

    /// The time that [`requests`](Self::requests) are counted for.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The most requests at once.
    #[must_use]
    pub const fn burst_size(&self) -> NonZeroU32 {
        self.burst
    }

    /// The time in which the place of one request comes back; never zero.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.period / self.requests.get()
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// The name of a limiting layer that was given none, and of the limit that a rule sets without a name.
pub const DEFAULT_NAME: &str = "default";

/// The limits that one rule sets for itself. The routing layer makes them part of [`Routed`](crate::Routed), once for the rule
/// and not for each request.
///
/// A stack may have several layers of a kind, say one that counts by address and one by principal; so they have names, and
/// a rule says for which of them it sets a limit.
///
/// ```
/// use tunnel_core::limits::{Limit, Limits, Rate};
///
/// let limits = Limits::new()
///     .rate("by-address", Rate::per_second(5))
///     .concurrency("default", Limit::Unlimited);
/// assert_eq!(limits.rate_of("by-address"), Some(Limit::To(Rate::per_second(5))));
/// assert_eq!(limits.rate_of("by-principal"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    rates: Named<Rate>,
    concurrency: Named<u32>,
}

/// A handful at most: a search from the front is faster than any map.
type Named<T> = Vec<(Cow<'static, str>, Limit<T>)>;

impl Limits {
    /// No limits of its own.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rates: Vec::new(),
            concurrency: Vec::new(),
        }
    }

    /// Sets the rate for the rate limiting layer with this name.
    #[must_use]
    pub fn rate(mut self, layer: impl Into<Cow<'static, str>>, rate: impl Into<Limit<Rate>>) -> Self {
        set(&mut self.rates, layer.into(), rate.into());
        self
    }

    /// Sets how many exchanges may run at once, for the concurrency limiting layer with this name.
    #[must_use]
    pub fn concurrency(mut self, layer: impl Into<Cow<'static, str>>, most: impl Into<Limit<u32>>) -> Self {
        set(&mut self.concurrency, layer.into(), most.into());
        self
    }

    /// The rate for the layer with this name, if the rule sets one.
    #[must_use]
    pub fn rate_of(&self, layer: &str) -> Option<Limit<Rate>> {
        find(&self.rates, layer)
    }

    /// How many may run at once, for the layer with this name, if the rule says it.
    #[must_use]
    pub fn concurrency_of(&self, layer: &str) -> Option<Limit<u32>> {
        find(&self.concurrency, layer)
    }

    /// Whether the rule sets no limit at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.concurrency.is_empty()
    }
}

fn set<T>(named: &mut Named<T>, layer: Cow<'static, str>, limit: Limit<T>) {
    named.retain(|(name, _)| *name != layer);
    named.push((layer, limit));
}

fn find<T: Copy>(named: &Named<T>, layer: &str) -> Option<Limit<T>> {
    named
        .iter()
        .find(|(name, _)| name == layer)
        .map(|(_, limit)| *limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_never_nothing_and_never_out_of_bounds() {
        let none = Rate::new(0, Duration::ZERO).burst(0);
        assert_eq!((none.requests().get(), none.burst_size().get()), (1, 1));
        assert!(none.interval() > Duration::ZERO);

        let dense = Rate::new(u32::MAX, Duration::from_nanos(1));
        assert!(dense.interval() >= Duration::from_nanos(1));

        let rare = Rate::new(1, Duration::MAX).burst(u32::MAX);
        assert_eq!(
            (rare.period(), rare.burst_size().get()),
            (Duration::from_secs(366 * 86_400), 1)
        );
        let daily = Rate::new(1, Duration::from_secs(86_400)).burst(u32::MAX);
        assert_eq!(daily.burst_size().get(), 366);
        assert_eq!(
            Rate::per_second(100).burst(7).interval(),
            Duration::from_millis(10)
        );
    }

    #[test]
    fn the_last_word_about_a_layer_holds() {
        let limits = Limits::new()
            .concurrency("a", 1)
            .concurrency("b", 2)
            .concurrency("a", Limit::Unlimited);
        assert_eq!(limits.concurrency_of("a"), Some(Limit::Unlimited));
        assert_eq!(limits.concurrency_of("b"), Some(Limit::To(2)));
        assert_eq!(limits.concurrency_of("c"), None);
        assert!(!limits.is_empty() && limits.rate_of("a").is_none() && Limits::new().is_empty());
    }
}
