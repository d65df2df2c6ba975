//! What stands between the rules and the agents: who may call, how often, how many at once, for how long.

use tower::Layer;
use tunnel_core::auth::BoxAuthenticator;
use tunnel_layers::{
    auth::{Auth, AuthLayer},
    concurrency::{Concurrency, ConcurrencyLayer},
    deadline::{Deadline, DeadlineLayer},
    rate_limit::{RateLimit, RateLimitLayer},
    trace::{Stage, StageLayer},
};

use super::key::By;

/// The guards of a gateway, as one layer, which stands inside [`RouteLayer`](tunnel_layers::route::RouteLayer): a rate limit,
/// authentication, two more rate limits, places, and timeouts, from the outside in.
///
/// Those that a file says nothing of are there as well, so that the type of the stack is always the same: they look at the
/// request, find that it does not concern them, and pass it on.
#[derive(Clone, Debug)]
pub struct Guards {
    pub(super) before_auth: RateLimitLayer<By>,
    pub(super) auth: AuthLayer<BoxAuthenticator>,
    pub(super) rates: [RateLimitLayer<By>; 2],
    pub(super) concurrency: ConcurrencyLayer<By>,
    pub(super) deadline: DeadlineLayer,
}

impl Guards {
    /// The same, with other timeouts where a rule says nothing. What is counted is counted together.
    #[must_use]
    pub fn deadline(self, deadline: DeadlineLayer) -> Self {
        Self { deadline, ..self }
    }
}

type Inner<S> = RateLimit<RateLimit<Concurrency<Deadline<S>, By>, By>, By>;

impl Guards {
    /// The same guards, with which sampled traces tell how long callers are asked who they are, and how long requests wait.
    #[must_use]
    pub const fn staged(self) -> Staged {
        Staged(self)
    }

    fn inner<S>(&self, service: S) -> Inner<S> {
        let service = self.concurrency.layer(self.deadline.layer(service));
        let [first, second] = &self.rates;
        first.layer(second.layer(service))
    }
}

impl<S> Layer<S> for Guards {
    type Service = RateLimit<Auth<Inner<S>, BoxAuthenticator>, By>;

    fn layer(&self, service: S) -> Self::Service {
        self.before_auth.layer(self.auth.layer(self.inner(service)))
    }
}

/// [`Guards`] with [`StageLayer`]s.
#[derive(Clone, Debug)]
pub struct Staged(Guards);

impl<S> Layer<S> for Staged {
    type Service = RateLimit<Stage<Auth<Stage<Inner<S>>, BoxAuthenticator>>, By>;

    fn layer(&self, service: S) -> Self::Service {
        let service = StageLayer::new("queue").layer(self.0.inner(service));
        let service = StageLayer::new("auth").layer(self.0.auth.layer(service));
        self.0.before_auth.layer(service)
    }
}
