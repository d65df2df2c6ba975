use std::{any::type_name, fmt};

use tower_layer::Layer;
use tracing::Level;

use super::{MakeTraceId, RandomTraceId, Traced};
use crate::trace::Tracer;

/// Gives every request its place in a trace; see the [module](super).
#[derive(Clone)]
pub struct TraceIdLayer<M = RandomTraceId> {
    pub(super) settings: Settings<M>,
}

#[derive(Clone)]
pub(super) struct Settings<M> {
    pub(super) make: M,
    pub(super) trust: bool,
    pub(super) sampled: bool,
    pub(super) level: Level,
    pub(super) tracer: Option<Tracer>,
}

impl TraceIdLayer {
    /// A layer that continues traces from outside, and starts others with random ids, as sampled ones. Its spans are of the level
    /// DEBUG.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            settings: Settings {
                make: RandomTraceId,
                trust: true,
                sampled: true,
                level: Level::DEBUG,
                tracer: None,
            },
        }
    }
}

impl<M> TraceIdLayer<M> {
    /// Makes the ids in another way.
    #[must_use]
    pub fn make<N: MakeTraceId>(self, make: N) -> TraceIdLayer<N> {
        let Settings {
            trust,
            sampled,
            level,
            tracer,
            ..
        } = self.settings;
        TraceIdLayer {
            settings: Settings {
                make,
                trust,
                sampled,
                level,
                tracer,
            },
        }
    }

    /// Whether to continue a trace that comes from outside. If not, each request starts its own, and `tracestate` is
    /// dropped. On by default: the ids say nothing about the caller, and cannot give it any right.
    #[must_use]
    pub fn trust(mut self, trust: bool) -> Self {
        self.settings.trust = trust;
        self
    }

    /// Whether traces that begin here are sampled. On by default, because services that follow their caller's decision
    /// record nothing of a trace that is not. One that is continued keeps its caller's decision.
    #[must_use]
    pub fn sampled(mut self, sampled: bool) -> Self {
        self.settings.sampled = sampled;
        self
    }

    /// Tells the steps of sampled traces to `tracer`, which also says which of the new ones are; see [`trace`](crate::trace). The first
    /// step is the exchange itself. Off by default.
    #[must_use]
    pub fn tracer(mut self, tracer: impl Into<Option<Tracer>>) -> Self {
        self.settings.tracer = tracer.into();
        self
    }

    /// The level of the span around each request; [`Level::DEBUG`] if not set. A span that nobody listens to costs nothing, and one
    /// that is listened to costs as much as a layer of the stack, or two. What our layers log about a request that failed has
    /// `trace.id` among its own fields, whether there is a span or not.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.settings.level = level;
        self
    }
}

impl Default for TraceIdLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, M: Clone> Layer<S> for TraceIdLayer<M> {
    type Service = Traced<S, M>;

    fn layer(&self, inner: S) -> Traced<S, M> {
        Traced::new(inner, self.settings.clone())
    }
}

impl<M> fmt::Debug for TraceIdLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceIdLayer")
            .field("settings", &self.settings)
            .finish()
    }
}

impl<M> fmt::Debug for Settings<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("make", &type_name::<M>())
            .field("trust", &self.trust)
            .field("sampled", &self.sampled)
            .field("level", &self.level)
            .field("tracer", &self.tracer)
            .finish()
    }
}
