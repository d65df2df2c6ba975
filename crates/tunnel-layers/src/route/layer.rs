use tower_layer::Layer;

use super::{NotFound, Route, Rules, RulesWithUpstreams, SplitLayer};

/// Sends requests where the rules say; see the [module](super).
#[derive(Clone, Debug)]
pub struct RouteLayer<M = NotFound> {
    rules: Rules,
    miss: M,
}

impl RouteLayer {
    /// A layer with these rules, none of which goes to an upstream. What no rule matches is answered 404.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            miss: NotFound,
        }
    }

    /// The same for rules of which some go to upstreams, and the layer that sends those requests to `upstreams`: it stands
    /// further in, where the ways part.
    ///
    /// `upstreams` finds the upstream's name in the [`Routed`](tunnel_core::Routed) of the request's extensions.
    pub fn with_upstreams<U>(rules: RulesWithUpstreams, upstreams: U) -> (Self, SplitLayer<U>) {
        (Self::new(rules.into_rules()), SplitLayer::new(upstreams))
    }
}

impl<M> RouteLayer<M> {
    /// Hands what no rule matches to `app`, with head and body as they were admitted. It must not fail; an axum `Router` and
    /// tonic `Routes` do not.
    #[must_use]
    pub fn or<N>(self, app: N) -> RouteLayer<N> {
        RouteLayer {
            rules: self.rules,
            miss: app,
        }
    }
}

impl<S, M: Clone> Layer<S> for RouteLayer<M> {
    type Service = Route<S, M>;

    fn layer(&self, inner: S) -> Route<S, M> {
        Route::new(inner, self.rules.clone(), self.miss.clone())
    }
}
