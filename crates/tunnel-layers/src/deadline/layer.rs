use std::time::Duration;

use tower_layer::Layer;
use tunnel_core::{Limit, Timeouts};

use super::Deadline;

/// Ends exchanges that take too long; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer {
    default: Timeouts,
}

impl DeadlineLayer {
    /// A layer that knows only the timeouts of rules and of gRPC callers.
    #[must_use]
    pub const fn new() -> Self {
        let default = Timeouts {
            whole: None,
            head: None,
            request_idle: None,
            response_idle: None,
        };
        Self { default }
    }

    /// The timeouts of exchanges whose rule says nothing, or that have no rule, all at once.
    #[must_use]
    pub const fn defaults(mut self, timeouts: Timeouts) -> Self {
        self.default = timeouts;
        self
    }

    /// The time for the whole exchange, where the rule says nothing. A gRPC caller can shorten it, not lengthen it.
    #[must_use]
    pub const fn default_timeout(mut self, whole: Duration) -> Self {
        self.default.whole = Some(Limit::To(whole));
        self
    }

    /// The time until the response's head, where the rule says nothing.
    #[must_use]
    pub const fn default_head_timeout(mut self, head: Duration) -> Self {
        self.default.head = Some(Limit::To(head));
        self
    }

    /// The longest wait for the next piece of the request's body, where the rule says nothing.
    #[must_use]
    pub const fn default_request_idle_timeout(mut self, idle: Duration) -> Self {
        self.default.request_idle = Some(Limit::To(idle));
        self
    }

    /// The longest wait for the next piece of the response's body, where the rule says nothing.
    #[must_use]
    pub const fn default_response_idle_timeout(mut self, idle: Duration) -> Self {
        self.default.response_idle = Some(Limit::To(idle));
        self
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline::new(inner, self.default)
    }
}
