use std::time::Duration;

use tower_layer::Layer;

use super::Deadline;

/// Ends exchanges that take too long; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer {
    default: Option<Duration>,
}

impl DeadlineLayer {
    /// A layer that knows only the timeouts of rules and of gRPC callers.
    #[must_use]
    pub const fn new() -> Self {
        Self { default: None }
    }

    /// The time for exchanges whose rule names none, or that have no rule. A gRPC caller can shorten it, not lengthen it.
    #[must_use]
    pub const fn default_timeout(mut self, whole: Duration) -> Self {
        self.default = Some(whole);
        self
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline::new(inner, self.default)
    }
}
