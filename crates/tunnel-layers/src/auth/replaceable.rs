use std::{
    any::type_name,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tunnel_core::auth::{AuthRequest, Authenticator};

/// An authenticator in the place of which another one can be put while it is in use: for files that change, and for credentials
/// that are taken back. Clones are the same one.
///
/// Requests that come after [`replace`](Self::replace) has returned are shown to the new one; what the old one remembers goes
/// with it.
///
/// ```
/// use tunnel_layers::auth::{AuthLayer, BearerToken, BearerTokens, Replaceable};
///
/// let of = |token| BearerTokens::new([BearerToken::new("ci", token)?]);
/// let tokens = Replaceable::new(of("the-token-of-yesterday")?);
/// let layer = AuthLayer::new(tokens.clone());
/// // Later, wherever the file is watched:
/// tokens.replace(of("the-token-of-today-0123")?);
/// # Ok::<(), tunnel_layers::auth::AuthConfigError>(())
/// ```
pub struct Replaceable<A>(Arc<RwLock<Arc<A>>>);

impl<A: Authenticator> Replaceable<A> {
    /// This one, until it is replaced.
    pub fn new(authenticator: A) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(authenticator))))
    }

    /// Puts another one in its place.
    pub fn replace(&self, authenticator: A) {
        let new = Arc::new(authenticator);
        let old = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), new);
        // After the lock: it may hold much.
        drop(old);
    }
}

impl<A: Authenticator> Authenticator for Replaceable<A> {
    type Future = A::Future;

    fn authenticate(&self, request: &AuthRequest<'_>) -> A::Future {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        current.authenticate(request)
    }
}

impl<A> Clone for Replaceable<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> fmt::Debug for Replaceable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replaceable").field(&type_name::<A>()).finish()
    }
}
