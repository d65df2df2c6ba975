use std::{fmt, pin::Pin, sync::Arc};

use super::{AuthRequest, Authenticator, Decision, Principal, Rejection};

/// The answer of a [`BoxAuthenticator`].
pub type BoxAuthFuture = Pin<Box<dyn Future<Output = Result<Principal, Rejection>> + Send>>;

/// Any [`Authenticator`], as an object: for those that a configuration names, and for lists of different ones. It costs one
/// allocation a request, unless the authenticator [knows at once](Authenticator::decide). Clones are the same authenticator.
#[derive(Clone)]
pub struct BoxAuthenticator(Arc<dyn Erased>);

trait Erased: Send + Sync {
    fn authenticate(&self, request: &AuthRequest<'_>) -> BoxAuthFuture;

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<BoxAuthFuture>;
}

impl<A: Authenticator> Erased for A {
    fn authenticate(&self, request: &AuthRequest<'_>) -> BoxAuthFuture {
        Box::pin(Authenticator::authenticate(self, request))
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<BoxAuthFuture> {
        match Authenticator::decide(self, request) {
            Decision::Now(answer) => Decision::Now(answer),
            Decision::Later(future) => Decision::Later(Box::pin(future)),
        }
    }
}

impl BoxAuthenticator {
    /// Makes an object of `authenticator`.
    pub fn new(authenticator: impl Authenticator) -> Self {
        Self(Arc::new(authenticator))
    }
}

impl Authenticator for BoxAuthenticator {
    type Future = BoxAuthFuture;

    fn authenticate(&self, request: &AuthRequest<'_>) -> BoxAuthFuture {
        self.0.authenticate(request)
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<BoxAuthFuture> {
        self.0.decide(request)
    }

    fn boxed(self) -> BoxAuthenticator {
        self
    }
}

impl fmt::Debug for BoxAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxAuthenticator").finish_non_exhaustive()
    }
}
