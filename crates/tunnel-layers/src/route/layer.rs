use tower_layer::Layer;

use tunnel_core::agents::{Hosts, Services};

use super::{NotFound, Route, RouteHandle, Rules, RulesWithUpstreams, SplitLayer, registered::Registered};

/// Sends requests where the rules say; see the [module](super).
#[derive(Clone, Debug)]
pub struct RouteLayer<M = NotFound> {
    rules: RouteHandle,
    registered: Registered,
    miss: M,
}

impl RouteLayer {
    /// A layer with these rules, none of which goes to an upstream. What no rule matches is answered 404.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self::of(RouteHandle::new(rules))
    }

    const fn of(rules: RouteHandle) -> Self {
        Self {
            rules,
            registered: Registered::none(),
            miss: NotFound,
        }
    }

    /// The same for rules of which some go to upstreams, and the layer that sends those requests to `upstreams`: it stands
    /// further in, where the ways part.
    ///
    /// `upstreams` finds the upstream's name in the [`Routed`](tunnel_core::Routed) of the request's extensions.
    pub fn with_upstreams<U>(rules: RulesWithUpstreams, upstreams: U) -> (Self, SplitLayer<U>) {
        (
            Self::of(RouteHandle::with_upstreams(rules)),
            SplitLayer::new(upstreams),
        )
    }
}

impl<M> RouteLayer<M> {
    /// By this the rules are replaced while they are in use: those of this layer, of its clones, and of the services that they make.
    #[must_use]
    pub fn handle(&self) -> RouteHandle {
        self.rules.clone()
    }

    /// Hands what no rule matches to `app`, with head and body as they were admitted. It must not fail; an axum `Router` and
    /// tonic `Routes` do not.
    #[must_use]
    pub fn or<N>(self, app: N) -> RouteLayer<N> {
        RouteLayer {
            rules: self.rules,
            registered: self.registered,
            miss: app,
        }
    }

    /// Sends calls of gRPC that no rule matches to the group whose agents registered the service. By default, and for other
    /// services, they are misses like any other request.
    ///
    /// The id of such a rule is `service:` and the service's name.
    #[must_use]
    pub fn services(mut self, services: impl Services) -> Self {
        self.registered = self.registered.with_services(services);
        self
    }

    /// Says which hosts agents have registered, for rules with [`registered_hosts`](super::Rule::registered_hosts). Without it, what
    /// such a rule matches otherwise is answered 500.
    #[must_use]
    pub fn hosts(mut self, hosts: impl Hosts) -> Self {
        self.registered = self.registered.with_hosts(hosts);
        self
    }
}

impl<S, M: Clone> Layer<S> for RouteLayer<M> {
    type Service = Route<S, M>;

    fn layer(&self, inner: S) -> Route<S, M> {
        Route::with(inner, self.rules.clone(), self.miss.clone()).registered(self.registered.clone())
    }
}
