use tunnel_core::{Routed, Target};

use super::{Head, Key, KeyExtractor, Space};

/// Counts by the rule that the request matched, which [`RouteLayer`](crate::route) says further out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByRoute;

impl KeyExtractor for ByRoute {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        let rule = head.extensions.get().map(|routed: &Routed| &*routed.rule);
        Some(Key::of(&(Space::Route, rule)))
    }
}

/// Counts by the group of agents, or the upstream, that the request goes to, which [`RouteLayer`](crate::route) says further
/// out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByGroup;

impl KeyExtractor for ByGroup {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        let target = head.extensions.get().map(|routed: &Routed| match &routed.target {
            Target::Group(group) => (true, group.as_str()),
            Target::Upstream(name) => (false, &**name),
        });
        Some(Key::of(&(Space::Group, target)))
    }
}
