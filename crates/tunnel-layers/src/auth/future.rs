//! The future of [`Auth`](super::Auth).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, header};
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{
    Principal, TunnelError,
    auth::{Refusal, Rejection},
};

use super::{forward::PrincipalHeader, layer::Settings};
use crate::{
    oneshot::Oneshot,
    reject::{Caller, ResponseBody},
};

/// Waits for the authenticator, then for the wrapped service and its response. Dropping it drops the one that it waits for.
#[pin_project]
pub struct ResponseFuture<F, S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<F, S, B>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F, S, B>
where
    S: Service<Request<B>>,
{
    /// With what is called after it, boxed for its size; none when that was taken.
    Checking(#[pin] F, Option<Box<(S, Request<B>)>>, Then),
    Called(#[pin] Oneshot<S, Request<B>>),
    Refused(Rejection),
    Failed(TunnelError),
}

/// What is done to a request whose caller was found out.
pub(super) struct Then {
    header: Option<PrincipalHeader>,
    strip: bool,
}

impl<A> Settings<A> {
    pub(super) fn then(&self) -> Then {
        Then {
            header: self.header.clone(),
            strip: self.strip,
        }
    }
}

impl Then {
    pub(super) fn apply<B>(&self, request: &mut Request<B>, principal: Principal) {
        let headers = request.headers_mut();
        if self.strip {
            headers.remove(header::AUTHORIZATION);
        }
        if let Some(header) = &self.header {
            header.put(headers, &principal);
        }
        log_principal(&principal);
        request.extensions_mut().insert(principal);
    }
}

impl<F, S, B> ResponseFuture<F, S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn checking(check: F, service: S, request: Request<B>, then: Then, caller: Caller) -> Self {
        let state = State::Checking(check, Some(Box::new((service, request))), then);
        Self { state, caller }
    }

    pub(super) fn called(service: &mut S, request: Request<B>, caller: Caller) -> Self
    where
        S: Clone,
    {
        let state = State::Called(Oneshot::now(service, request));
        Self { state, caller }
    }

    pub(super) const fn refused(rejection: Rejection, caller: Caller) -> Self {
        let state = State::Refused(rejection);
        Self { state, caller }
    }

    pub(super) const fn failed(error: TunnelError, caller: Caller) -> Self {
        let state = State::Failed(error);
        Self { state, caller }
    }
}

impl<F, S, B, RB> Future for ResponseFuture<F, S, B>
where
    F: Future<Output = Result<Principal, Rejection>>,
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Called(call) => {
                    return call.poll(cx).map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProj::Refused(rejection) => return Poll::Ready(Ok(refuse(*this.caller, rejection))),
                StateProj::Failed(error) => return Poll::Ready(Ok(this.caller.reject(error))),
                StateProj::Checking(check, call, then) => match ready!(check.poll(cx)) {
                    Err(rejection) => return Poll::Ready(Ok(refuse(*this.caller, &rejection))),
                    Ok(principal) => {
                        // Taken once: the state changes below.
                        let Some((service, mut request)) = call.take().map(|call| *call) else {
                            return Poll::Pending;
                        };
                        then.apply(&mut request, principal);
                        State::Called(Oneshot::polled(service, request, cx))
                    }
                },
            };
            this.state.set(next);
        }
    }
}

fn refuse<RB>(caller: Caller, rejection: &Rejection) -> Response<ResponseBody<RB>> {
    log_rejection(rejection);
    caller.refuse(rejection)
}

/// The span of the exchange learns who calls.
fn log_principal(principal: &Principal) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("enduser.id", principal.name());
    #[cfg(not(feature = "tracing"))]
    let _ = principal;
}

fn log_rejection(rejection: &Rejection) {
    #[cfg(feature = "tracing")]
    match (rejection.refusal(), std::error::Error::source(rejection)) {
        (Refusal::Unavailable, source) => {
            tracing::warn!(error = %rejection, source, "nobody could say who calls");
        }
        (refusal, source) => tracing::debug!(?refusal, error = %rejection, source, "a caller was not let in"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (rejection, Refusal::Unavailable);
}

impl<F, S, B> fmt::Debug for ResponseFuture<F, S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
