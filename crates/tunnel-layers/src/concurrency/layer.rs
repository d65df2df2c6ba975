use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use tunnel_core::limits::DEFAULT_NAME;

use super::{
    Concurrency,
    limiter::{Limiter, Settings},
};
use crate::key::{Everyone, KeyExtractor};

/// How many exchanges run at once, unless the layer says otherwise: ten times what one agent takes by default, and few enough
/// that heads and buffers of all of them fit into the memory of a small machine.
pub const DEFAULT_MAX: usize = 10_000;

/// How many stand in line, unless the layer says otherwise: a tenth of the places, so that at full load the last in line waits
/// for a tenth of the time that an exchange takes.
pub const DEFAULT_QUEUE: usize = 1_000;

/// How many stand in line for the places of one key, unless the layer says otherwise: a tenth of the line, so that one key
/// cannot fill it.
pub const DEFAULT_QUEUE_OF_KEY: usize = 100;

/// How long one stands in line at most, unless the layer says otherwise: enough for a burst to pass, and less than callers wait
/// for an answer, so that places are not given to those who have left.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(1);

/// What refusals say about when to come back, unless the layer says otherwise.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Lets so many exchanges run at once; see the [module](super).
///
/// The state is made here. All services that this layer and its clones make share it, and so do their clones; a setter gives a
/// layer with a state of its own.
#[derive(Clone)]
pub struct ConcurrencyLayer<K = Everyone> {
    limiter: Arc<Limiter>,
    key: K,
}

impl ConcurrencyLayer {
    /// A layer with the defaults: [`DEFAULT_MAX`] exchanges in all, and no limit by key.
    #[must_use]
    pub fn new() -> Self {
        Self {
            limiter: Arc::new(Limiter::new(Settings::default())),
            key: Everyone,
        }
    }
}

impl<K> ConcurrencyLayer<K> {
    /// How many exchanges may run at once in all: at least one.
    #[must_use]
    pub fn max(self, exchanges: usize) -> Self {
        self.with(|settings| settings.bounds.places = exchanges.max(1))
    }

    /// How many exchanges with the same key may run at once: at least one. They count in the whole as well.
    #[must_use]
    pub fn per_key<L: KeyExtractor>(self, key: L, exchanges: u32) -> ConcurrencyLayer<L> {
        let Self { limiter, .. } = self.with(|settings| settings.per_key = Some(exchanges));
        ConcurrencyLayer { limiter, key }
    }

    /// How many may stand in line, for the whole and for keys together. With zero nobody waits.
    #[must_use]
    pub fn queue(self, length: usize) -> Self {
        self.with(|settings| settings.bounds.queue = length)
    }

    /// How many may stand in line for the places of one key.
    #[must_use]
    pub fn queue_of_key(self, length: usize) -> Self {
        self.with(|settings| settings.bounds.queue_of_key = length)
    }

    /// How long one may stand in line.
    #[must_use]
    pub fn max_wait(self, wait: Duration) -> Self {
        self.with(|settings| settings.max_wait = wait)
    }

    /// What refusals say about when to come back.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.with(|settings| settings.retry_after = after)
    }

    /// The layer's name, by which rules set a limit for it. `default` if not set.
    #[must_use]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        self.with(|settings| settings.name = name)
    }

    /// How many exchanges run and wait now, for all services of this layer.
    #[must_use]
    pub fn load(&self) -> Load {
        let (running, waiting) = self.limiter.places.load();
        Load { running, waiting }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.limiter.settings.clone();
        change(&mut settings);
        self.limiter = Arc::new(Limiter::new(settings));
        self
    }
}

/// What a layer has to do at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Exchanges that have a place.
    pub running: usize,
    /// Requests that stand in line.
    pub waiting: usize,
}

impl Default for ConcurrencyLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(DEFAULT_NAME),
            bounds: super::state::Bounds {
                places: DEFAULT_MAX,
                queue: DEFAULT_QUEUE,
                queue_of_key: DEFAULT_QUEUE_OF_KEY,
            },
            per_key: None,
            max_wait: DEFAULT_MAX_WAIT,
            retry_after: DEFAULT_RETRY_AFTER,
        }
    }
}

impl<S, K: Clone> Layer<S> for ConcurrencyLayer<K> {
    type Service = Concurrency<S, K>;

    fn layer(&self, inner: S) -> Concurrency<S, K> {
        Concurrency::new(inner, self.limiter.clone(), self.key.clone())
    }
}

impl<K> fmt::Debug for ConcurrencyLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLayer")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
