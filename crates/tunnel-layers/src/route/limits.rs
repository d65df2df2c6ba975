//! What a rule says about time and limits.

use std::{borrow::Cow, time::Duration};

use tunnel_core::{
    Limit, RetryPolicy, Timeouts,
    limits::{DEFAULT_NAME, Rate},
};

use super::{
    error::Fault,
    rule::{Action, Rule},
};

/// Timeouts, which [`DeadlineLayer`](crate::deadline) sees to. Each is more than zero; [`Limit::Unlimited`] means none, whatever
/// that layer's default is.
impl Rule {
    /// The most time from the request's head to the end of the response's body, or of the upgraded stream.
    pub fn timeout(mut self, whole: impl Into<Limit<Duration>>) -> Self {
        self.timeouts.whole = Some(whole.into());
        self
    }

    /// The most time until the response's head is there, counted from the request's head or the last piece of its body.
    pub fn head_timeout(mut self, head: impl Into<Limit<Duration>>) -> Self {
        self.timeouts.head = Some(head.into());
        self
    }

    /// The longest wait for the next piece of the request's body.
    pub fn request_idle_timeout(mut self, idle: impl Into<Limit<Duration>>) -> Self {
        self.timeouts.request_idle = Some(idle.into());
        self
    }

    /// The longest wait for the next piece of the response's body.
    pub fn response_idle_timeout(mut self, idle: impl Into<Limit<Duration>>) -> Self {
        self.timeouts.response_idle = Some(idle.into());
        self
    }
}

/// Limits in the place of those of the layers. What a rule sets is counted for the rule alone.
impl Rule {
    /// The rate for the rate limiting layer that has no name.
    pub fn rate(self, rate: impl Into<Limit<Rate>>) -> Self {
        self.rate_of(DEFAULT_NAME, rate)
    }

    /// The rate for the rate limiting layer with this name.
    pub fn rate_of(mut self, layer: impl Into<Cow<'static, str>>, rate: impl Into<Limit<Rate>>) -> Self {
        self.limits = self.limits.rate(layer, rate);
        self
    }

    /// How many exchanges may run at once, for the concurrency limiting layer that has no name: at least one.
    pub fn concurrency(self, most: impl Into<Limit<u32>>) -> Self {
        self.concurrency_of(DEFAULT_NAME, most)
    }

    /// How many exchanges may run at once, for the concurrency limiting layer with this name: at least one.
    pub fn concurrency_of(
        mut self,
        layer: impl Into<Cow<'static, str>>,
        most: impl Into<Limit<u32>>,
    ) -> Self {
        self.limits = self.limits.concurrency(layer, most);
        self
    }
}

/// Whether a request that may have been carried out is sent once more, which [`BalanceLayer`](crate::balance) sees to.
impl Rule {
    /// As this policy says. Without one, a request is sent again only while it is certain that nobody has seen it.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }
}

/// That only what goes somewhere is sent again.
pub(super) fn check_retry(retry: Option<&RetryPolicy>, action: &Action) -> Result<(), Fault> {
    match (retry, action) {
        (Some(_), Action::Direct(_)) => Err(Fault::new(
            "retry",
            "the rule answers itself, so that nothing can be sent again",
        )),
        _ => Ok(()),
    }
}

/// That no timeout is zero.
pub(super) fn check_timeouts(timeouts: &Timeouts) -> Result<(), Fault> {
    let Timeouts {
        whole,
        head,
        request_idle,
        response_idle,
    } = *timeouts;
    for (field, timeout) in [
        ("timeout", whole),
        ("head_timeout", head),
        ("request_idle_timeout", request_idle),
        ("response_idle_timeout", response_idle),
    ] {
        if timeout == Some(Limit::To(Duration::ZERO)) {
            return Err(Fault::new(
                field,
                "it is zero, so that nothing can be answered: leave it out for the default, or say that it is unlimited",
            ));
        }
    }
    Ok(())
}
