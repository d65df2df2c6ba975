//! The future of [`Auth`](super::Auth).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response, header};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;
use tunnel_core::{
    Principal, Record, TunnelError,
    auth::{Refusal, Rejection},
};

use super::{AuthBody, CleanBody, expiry, forward::PrincipalHeader, layer::Settings};
use crate::{oneshot::Oneshot, reject::Caller};

/// Waits for the authenticator, then for the wrapped service and its response. Dropping it drops the one that it waits for.
#[pin_project]
pub struct ResponseFuture<F, S, B>
where
    S: Service<Request<CleanBody<B>>>,
{
    #[pin]
    state: State<F, S, B>,
    /// When the credentials expire, if that ends the call. Boxed for its size.
    end: Option<Pin<Box<Sleep>>>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F, S, B>
where
    S: Service<Request<CleanBody<B>>>,
{
    /// With what is called after it, boxed for its size; none when that was taken.
    Checking(#[pin] F, Option<Box<(S, Request<CleanBody<B>>)>>, Then),
    Called(#[pin] Oneshot<S, Request<CleanBody<B>>>),
    Refused(Rejection),
    Failed(TunnelError),
}

/// What is done to a request whose caller was found out.
pub(super) struct Then {
    header: Option<Arc<PrincipalHeader>>,
    strip: bool,
    grace: Option<Duration>,
}

impl<A> Settings<A> {
    pub(super) fn then(&self) -> Then {
        Then {
            header: self.header.clone(),
            strip: self.strip,
            grace: self.grace,
        }
    }
}

impl Then {
    /// Tells when the call has to be over, if anything but the service says so.
    pub(super) fn apply<B>(&self, request: &mut Request<B>, principal: Principal) -> Option<Instant> {
        let headers = request.headers_mut();
        if self.strip {
            headers.remove(header::AUTHORIZATION);
        }
        if let Some(header) = &self.header {
            header.put(headers, &principal);
        }
        log_principal(&principal);
        if let Some(record) = request.extensions().get::<Record>() {
            record.note_principal(&principal);
        }
        let end = self.grace.and_then(|grace| expiry::end(&principal, grace));
        if let Some(end) = end {
            expiry::tell(request.extensions_mut(), end);
        }
        request.extensions_mut().insert(principal);
        end
    }
}

impl<F, S, B> ResponseFuture<F, S, B>
where
    S: Service<Request<CleanBody<B>>>,
{
    #[inline(always)]
    fn new(state: State<F, S, B>, end: Option<Instant>, caller: Caller) -> Self {
        let end = end.map(|end| Box::pin(sleep_until(end)));
        Self { state, end, caller }
    }

    pub(super) fn checking(
        check: F,
        service: S,
        request: Request<CleanBody<B>>,
        then: Then,
        caller: Caller,
    ) -> Self {
        let state = State::Checking(check, Some(Box::new((service, request))), then);
        Self::new(state, None, caller)
    }

    /// Calls the service; at `end` its call is over.
    #[inline(always)]
    pub(super) fn called(
        service: &mut S,
        request: Request<CleanBody<B>>,
        end: Option<Instant>,
        caller: Caller,
    ) -> Self
    where
        S: Clone,
    {
        Self::new(State::Called(Oneshot::now(service, request)), end, caller)
    }

    pub(super) fn refused(rejection: Rejection, caller: Caller) -> Self {
        Self::new(State::Refused(rejection), None, caller)
    }

    pub(super) fn failed(error: TunnelError, caller: Caller) -> Self {
        Self::new(State::Failed(error), None, caller)
    }
}

impl<F, S, B, RB> Future for ResponseFuture<F, S, B>
where
    F: Future<Output = Result<Principal, Rejection>>,
    S: Service<Request<CleanBody<B>>, Response = Response<RB>>,
{
    type Output = Result<Response<AuthBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Called(call) => {
                    match call.poll(cx) {
                        Poll::Ready(Ok(response)) => {
                            let end = this.end.as_ref().map(|end| end.deadline());
                            return Poll::Ready(Ok(wrap(response, end, *this.caller)));
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => {}
                    }
                    let Some(end) = this.end else {
                        return Poll::Pending;
                    };
                    ready!(end.as_mut().poll(cx));
                    // Ends the call before the caller hears of it.
                    State::Failed(expiry::expired())
                }
                StateProj::Failed(error) => {
                    return Poll::Ready(Ok(this.caller.reject(error).map(AuthBody::reply)));
                }
                StateProj::Refused(rejection) => return Poll::Ready(Ok(refuse(*this.caller, rejection))),
                StateProj::Checking(check, call, then) => match ready!(check.poll(cx)) {
                    Err(rejection) => return Poll::Ready(Ok(refuse(*this.caller, &rejection))),
                    Ok(principal) => {
                        // Taken once: the state changes below.
                        let Some((service, mut request)) = call.take().map(|call| *call) else {
                            return Poll::Pending;
                        };
                        let end = then.apply(&mut request, principal);
                        *this.end = end.map(|end| Box::pin(sleep_until(end)));
                        State::Called(Oneshot::polled(service, request, cx))
                    }
                },
            };
            this.state.set(next);
        }
    }
}

#[inline(always)]
fn wrap<RB>(response: Response<RB>, end: Option<Instant>, caller: Caller) -> Response<AuthBody<RB>> {
    let in_trailers = end.is_some() && caller.takes_trailers(response.headers());
    response.map(|body| AuthBody::inner(body, end, in_trailers))
}

fn refuse<RB>(caller: Caller, rejection: &Rejection) -> Response<AuthBody<RB>> {
    log_rejection(rejection, caller);
    caller.refuse(rejection).map(AuthBody::reply)
}

/// The span of the exchange learns who calls.
fn log_principal(principal: &Principal) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("enduser.id", principal.name());
    #[cfg(not(feature = "tracing"))]
    let _ = principal;
}

fn log_rejection(rejection: &Rejection, caller: Caller) {
    #[cfg(feature = "tracing")]
    match (rejection.refusal(), std::error::Error::source(rejection)) {
        (Refusal::Unavailable, source) => {
            let trace = caller.trace_id().map(tracing::field::display);
            tracing::warn!(trace.id = trace, error = %rejection, source, "nobody could say who calls");
        }
        (refusal, source) => tracing::debug!(?refusal, error = %rejection, source, "a caller was not let in"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (rejection, caller, Refusal::Unavailable);
}

impl<F, S, B> fmt::Debug for ResponseFuture<F, S, B>
where
    S: Service<Request<CleanBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
