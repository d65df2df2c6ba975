use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

/// Who calls, as an [`Authenticator`](super::Authenticator) found out. It stands in the request's extensions; a clone costs a
/// reference count.
///
/// `Debug` shows the name, the scheme and the names of the claims, not what they say.
///
/// ```
/// use tunnel_core::Principal;
///
/// let principal = Principal::new("alice", "jwt").with_claim(Principal::SCOPE, ["read", "write"]);
/// assert!(principal.has(Principal::SCOPE, "write"));
/// assert!(!principal.has(Principal::GROUPS, "staff"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Principal(Arc<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    name: Box<str>,
    scheme: &'static str,
    claims: BTreeMap<Box<str>, Box<[Box<str>]>>,
    expires: Option<SystemTime>,
}

impl Principal {
    /// The claim that holds what the caller may do (RFC 6749, section 3.3), a scope each.
    pub const SCOPE: &'static str = "scope";
    /// The claim that holds the groups or roles to which the caller belongs.
    pub const GROUPS: &'static str = "groups";

    /// A principal without claims. `scheme` is a word for how it was authenticated, such as `basic` or `jwt`.
    pub fn new(name: impl Into<Box<str>>, scheme: &'static str) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            scheme,
            claims: BTreeMap::new(),
            expires: None,
        }))
    }

    /// The same principal with a claim, in the place of one with that name. A claim without values is left out.
    #[must_use]
    pub fn with_claim<V: Into<Box<str>>>(
        mut self,
        name: impl Into<Box<str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values: Box<[Box<str>]> = values.into_iter().map(Into::into).collect();
        if !values.is_empty() {
            Arc::make_mut(&mut self.0).claims.insert(name.into(), values);
        }
        self
    }

    /// The same principal, whose credentials are valid until then.
    #[must_use]
    pub fn with_expiry(mut self, expires: SystemTime) -> Self {
        Arc::make_mut(&mut self.0).expires = Some(expires);
        self
    }

    /// The name: unique among those that one authenticator knows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The word for how it was authenticated.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.0.scheme
    }

    /// What this claim says; empty if there is none.
    #[must_use]
    pub fn claim(&self, name: &str) -> &[Box<str>] {
        self.0.claims.get(name).map_or(&[], |values| values)
    }

    /// Whether this claim has this value.
    #[must_use]
    pub fn has(&self, claim: &str, value: &str) -> bool {
        self.claim(claim).iter().any(|have| &**have == value)
    }

    /// Every claim and what it says, in the order of the names.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.0.claims.iter().map(|(name, values)| (&**name, &**values))
    }

    /// Until when the credentials are valid, if that is known. Exchanges that outlive it are ended only where
    /// the authenticating layer is set to.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.expires
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims: Vec<_> = self.0.claims.keys().collect();
        f.debug_struct("Principal")
            .field("name", &self.0.name)
            .field("scheme", &self.0.scheme)
            .field("claims", &claims)
            .field("expires", &self.0.expires)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_its_claims_when_the_original_changes() {
        let first = Principal::new("a", "test").with_claim("c", ["1"]);
        let second = first.clone().with_claim("c", ["2", "3"]);
        assert!(first.has("c", "1") && !first.has("c", "2"));
        assert!(second.has("c", "3") && !second.has("c", "1"));
        assert_eq!(second.claims().count(), 1);
    }

    #[test]
    fn a_claim_that_says_nothing_is_none() {
        let principal = Principal::new("a", "test").with_claim("c", Vec::<String>::new());
        assert_eq!(principal, Principal::new("a", "test"));
        assert!(principal.claim("c").is_empty());
    }

    #[test]
    fn debug_shows_what_the_claims_are_called_and_not_what_they_say() {
        let principal = Principal::new("alice", "jwt").with_claim("email", ["alice@example.com"]);
        let text = format!("{principal:?}");
        assert!(text.contains("alice") && text.contains("email") && !text.contains('@'));
    }
}
