use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::{
    Rules, RulesWithUpstreams,
    compiled::{Ask, Compiled},
};

/// The rules of a [`RouteLayer`](super::RouteLayer), which can be replaced as a whole while it serves. Clones are the same one.
///
/// A request keeps the rule that it has matched, to its end: with its rewrites of the response, its timeouts and limits. Requests that
/// are routed after [`replace`](Self::replace) has returned see the new rules. Nothing of other layers changes: limiters go on
/// counting, and what they count by rule is counted under the rule's id, whichever rules it comes from.
///
/// ```
/// use tunnel_layers::route::{RouteLayer, Rule, Rules};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = RouteLayer::new(Rules::compile([Rule::group("all", "blue".parse()?)])?);
/// let rules = layer.handle();
/// // Later, in the services that the layer has made as well:
/// rules.replace(Rules::compile([Rule::group("all", "green".parse()?)])?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RouteHandle {
    rules: Arc<ArcSwap<Rules>>,
    has_upstreams: bool,
}

/// Rules that go to upstreams were given to a layer that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoUpstreams;

impl fmt::Display for NoUpstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the rules go to upstreams, and the routing layer was made without: make it with `RouteLayer::with_upstreams`",
        )
    }
}

impl std::error::Error for NoUpstreams {}

impl RouteHandle {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            has_upstreams: false,
        }
    }

    pub(super) fn with_upstreams(rules: RulesWithUpstreams) -> Self {
        Self {
            has_upstreams: true,
            ..Self::new(rules.into_rules())
        }
    }

    /// The first rule that this request matches now.
    pub(super) fn find(&self, ask: &Ask<'_>) -> Option<Arc<Compiled>> {
        self.rules.load().find(ask).cloned()
    }

    /// The rules of this moment.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules::clone(&self.rules.load())
    }

    /// Puts other rules in their place, and gives those that were there.
    pub fn replace(&self, rules: Rules) -> Rules {
        let old = self.rules.swap(Arc::new(rules));
        Rules::clone(&old)
    }

    /// The same, for rules of which some go to upstreams.
    ///
    /// # Errors
    ///
    /// The layer was not made by [`RouteLayer::with_upstreams`](super::RouteLayer::with_upstreams). Nothing changes then.
    pub fn replace_with_upstreams(&self, rules: RulesWithUpstreams) -> Result<Rules, NoUpstreams> {
        match self.has_upstreams {
            true => Ok(self.replace(rules.into_rules())),
            false => Err(NoUpstreams),
        }
    }
}

impl fmt::Debug for RouteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.load().fmt(f)
    }
}
