use tunnel_core::Principal;

use super::{Head, Key, KeyExtractor, Space};

/// Counts by who calls, as `AuthLayer` found out further out. Callers whom nobody asked for credentials share one key.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByPrincipal;

impl KeyExtractor for ByPrincipal {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        let who = head.extensions.get::<Principal>();
        Some(who.map_or_else(
            || Key::of(&Space::Principal),
            |who| Key::from_bits(who.fingerprint()),
        ))
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::*;
    use crate::test_util::request;

    #[test]
    fn callers_are_told_apart_by_name_and_scheme() {
        let key = |who: Option<(&str, &'static str)>| {
            let (mut parts, _) = request("/").into_parts();
            parts
                .extensions
                .extend(who.map_or_else(http::Extensions::new, |(name, scheme)| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(Principal::new(name, scheme));
                    extensions
                }));
            ByPrincipal.key(&Head::from(&parts))
        };
        let ann = key(Some(("ann", "basic")));
        assert_eq!(ann, key(Some(("ann", "basic"))));
        assert_ne!(ann, key(Some(("ann", "jwt"))));
        assert_ne!(ann, key(Some(("bob", "basic"))));
        assert_ne!(ann, key(None));
        assert_eq!(key(None), key(None));
    }
}
