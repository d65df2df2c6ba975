use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

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
    fingerprint: Fingerprint,
}

/// Worked out when it is first asked for. What it is made of is compared, so it is not.
#[derive(Clone, Default)]
struct Fingerprint(OnceLock<[u64; 2]>);

impl PartialEq for Fingerprint {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Fingerprint {}

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
            fingerprint: Fingerprint::default(),
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

    /// 128 bits that stand for the name and the scheme in this process, keyed at random when it starts, so that nobody can find
    /// two principals with the same. Tables of those who call keep it in the place of the name. It is worked out once for a
    /// principal and its clones.
    #[must_use]
    pub fn fingerprint(&self) -> [u64; 2] {
        static HASHERS: OnceLock<[RandomState; 2]> = OnceLock::new();
        let Inner { name, scheme, .. } = &*self.0;
        *self.0.fingerprint.0.get_or_init(|| {
            let hashers = HASHERS.get_or_init(|| [RandomState::new(), RandomState::new()]);
            hashers.each_ref().map(|hasher| hasher.hash_one((scheme, name)))
        })
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
    fn a_fingerprint_is_of_name_and_scheme_alone() {
        let fingerprint = |name: &str, scheme| Principal::new(name, scheme).fingerprint();
        let first = Principal::new("a", "test");
        assert_eq!(first.fingerprint(), fingerprint("a", "test"));
        assert_ne!(first.fingerprint(), fingerprint("b", "test"));
        assert_ne!(first.fingerprint(), fingerprint("a", "other"));
        assert_ne!(first.fingerprint(), fingerprint("ta", "tes"));
        let [one, other] = first.fingerprint();
        assert_ne!(one, other);
        assert_eq!(first.clone().with_claim("c", ["1"]).fingerprint(), [one, other]);
        // Whether it was asked for makes no difference.
        assert_eq!(first, Principal::new("a", "test"));
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
