use std::{
    fmt,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header};
use tower_service::Service;
use tunnel_core::{
    Routed,
    auth::{AuthRequest, Authenticator, Decision},
};

use super::{AuthBody, CleanBody, future::ResponseFuture, layer::Settings, policies::Choice};
use crate::admission;

/// The service of [`AuthLayer`](super::AuthLayer). It is always ready, and waits in its future until the wrapped service is:
/// a caller that is not let in must not take a place in it.
pub struct Auth<S, A> {
    inner: S,
    settings: Settings<A>,
}

impl<S, A> Auth<S, A> {
    pub(super) const fn new(inner: S, settings: Settings<A>) -> Self {
        Self { inner, settings }
    }
}

wraps_inner!(Auth<S, A>);

impl<S, A, B, RB> Service<Request<B>> for Auth<S, A>
where
    S: Service<Request<CleanBody<B>>, Response = Response<RB>> + Clone,
    A: Authenticator,
{
    type Response = Response<AuthBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<A::Future, S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::failed(error, caller);
        }
        self.settings.clean(request.headers_mut());
        let mut request = request.map(|body| CleanBody::new(body, self.settings.header.clone()));
        let routed = request.extensions().get::<Routed>();
        match self.settings.policies.choose(routed) {
            Choice::Nobody => ResponseFuture::called(&mut self.inner, request, None, caller),
            Choice::Ask(authenticator) => {
                let seen = AuthRequest::new(request.method(), request.headers(), request.extensions());
                let then = self.settings.then();
                match authenticator.decide(&seen) {
                    Decision::Now(Ok(principal)) => {
                        let end = then.apply(&mut request, principal);
                        ResponseFuture::called(&mut self.inner, request, end, caller)
                    }
                    Decision::Now(Err(rejection)) => ResponseFuture::refused(rejection, caller),
                    Decision::Later(check) => {
                        ResponseFuture::checking(check, self.inner.clone(), request, then, caller)
                    }
                }
            }
            Choice::Unknown(error) => ResponseFuture::failed(error, caller),
        }
    }
}

impl<A> Settings<A> {
    /// What is done to every request, whoever may send it.
    fn clean(&self, headers: &mut HeaderMap) {
        if let Some(header) = &self.header {
            header.strip(headers);
        }
        for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION] {
            if let header::Entry::Occupied(mut entry) = headers.entry(name) {
                entry.iter_mut().for_each(|value| value.set_sensitive(true));
            }
        }
    }
}

impl<S: Clone, A> Clone for Auth<S, A> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.settings.clone())
    }
}

impl<S: fmt::Debug, A> fmt::Debug for Auth<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish()
    }
}
