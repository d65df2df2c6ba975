use std::{any::type_name, fmt, sync::Arc};

use super::{AuthParts, AuthRequest, BoxAuthenticator, Principal, Rejection};

/// Decides who calls. It sees a request's head and never its body.
///
/// [`authenticate`](Self::authenticate) takes of the request what it needs and answers a future that owns it, so that layers
/// can name that future; one that need not wait answers [`Ready`](std::future::Ready). Authenticators are shared by all
/// connections of a process, so what they keep (caches, counters) belongs to all of them.
///
/// Dropping the future means that nobody waits for the answer any more; what it started may go on to fill a cache.
pub trait Authenticator: Send + Sync + 'static {
    /// The answer. It does no work before it is polled for the first time: whoever asks several authenticators may never poll
    /// some of their futures.
    type Future: Future<Output = Result<Principal, Rejection>> + Send + 'static;

    /// Looks at a request. It must not wait, and must not panic whatever the head says.
    fn authenticate(&self, request: &AuthRequest<'_>) -> Self::Future;

    /// The answer, at once if it takes no more than a look at the head; by default later, by
    /// [`authenticate`](Self::authenticate). For whoever asks this authenticator alone: one that knows at once overrides it,
    /// so that its answer needs no future, and as an object no box.
    fn decide(&self, request: &AuthRequest<'_>) -> Decision<Self::Future> {
        Decision::Later(self.authenticate(request))
    }

    /// The same authenticator as an object, for lists of different ones.
    fn boxed(self) -> BoxAuthenticator
    where
        Self: Sized,
    {
        BoxAuthenticator::new(self)
    }
}

/// What [`Authenticator::decide`] gives.
#[derive(Debug)]
pub enum Decision<F> {
    /// The answer.
    Now(Result<Principal, Rejection>),
    /// It has to be waited for.
    Later(F),
}

impl<A: Authenticator> Authenticator for Arc<A> {
    type Future = A::Future;

    fn authenticate(&self, request: &AuthRequest<'_>) -> Self::Future {
        (**self).authenticate(request)
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<Self::Future> {
        (**self).decide(request)
    }
}

/// An [`Authenticator`] of a function, which gets a copy of the head; see [`auth_fn`].
#[derive(Clone, Copy)]
pub struct AuthFn<F>(F);

/// Makes an [`Authenticator`] of an `async fn`, or a closure that answers a future.
pub const fn auth_fn<F, Fut>(function: F) -> AuthFn<F>
where
    F: Fn(AuthParts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Principal, Rejection>> + Send + 'static,
{
    AuthFn(function)
}

impl<F, Fut> Authenticator for AuthFn<F>
where
    F: Fn(AuthParts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Principal, Rejection>> + Send + 'static,
{
    type Future = Fut;

    fn authenticate(&self, request: &AuthRequest<'_>) -> Fut {
        (self.0)(request.to_parts())
    }
}

impl<F> fmt::Debug for AuthFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthFn").field(&type_name::<F>()).finish()
    }
}
