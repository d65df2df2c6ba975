//! The futures of [`Route`](super::Route) and [`Split`](super::Split).

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::TunnelError;

use super::{
    EitherBody,
    compiled::{Answer, Compiled},
};
use crate::{
    oneshot::Oneshot,
    reject::{Caller, ResponseBody},
};

pub use super::split::SplitFuture;

/// Waits for the service that gets the request, and for its response. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<S, M, B>
where
    S: Service<Request<B>>,
    M: Service<Request<B>>,
{
    #[pin]
    state: State<S, M, B>,
}

#[pin_project(project = StateProj)]
enum State<S, M, B>
where
    S: Service<Request<B>>,
    M: Service<Request<B>>,
{
    /// With the rule, unless an agent registered the service.
    Matched(#[pin] Oneshot<S, Request<B>>, Option<Arc<Compiled>>),
    Missed(#[pin] Oneshot<M, Request<B>>),
    Direct(Arc<Compiled>, Caller),
    Refused(TunnelError, Caller),
}

impl<S, M, B> ResponseFuture<S, M, B>
where
    S: Service<Request<B>>,
    M: Service<Request<B>>,
{
    #[inline(always)]
    pub(super) fn matched(service: &mut S, request: Request<B>, rule: Arc<Compiled>) -> Self
    where
        S: Clone,
    {
        Self {
            state: State::Matched(Oneshot::now(service, request), Some(rule)),
        }
    }

    pub(super) fn registered(service: &mut S, request: Request<B>) -> Self
    where
        S: Clone,
    {
        let state = State::Matched(Oneshot::now(service, request), None);
        Self { state }
    }

    pub(super) fn missed(service: &mut M, request: Request<B>) -> Self
    where
        M: Clone,
    {
        let state = State::Missed(Oneshot::now(service, request));
        Self { state }
    }

    pub(super) const fn direct(rule: Arc<Compiled>, caller: Caller) -> Self {
        let state = State::Direct(rule, caller);
        Self { state }
    }

    pub(super) const fn refused(error: TunnelError, caller: Caller) -> Self {
        let state = State::Refused(error, caller);
        Self { state }
    }
}

impl<S, M, B, RB, MB> Future for ResponseFuture<S, M, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    M: Service<Request<B>, Response = Response<MB>, Error = Infallible>,
{
    type Output = Result<Response<EitherBody<ResponseBody<RB>, MB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.state.project() {
            StateProj::Missed(call) => {
                let Ok(response) = ready!(call.poll(cx));
                return Poll::Ready(Ok(response.map(EitherBody::second)));
            }
            StateProj::Matched(call, rule) => {
                let mut response = ready!(call.poll(cx))?;
                if let Some(rule) = rule {
                    rule.rewrite.on_response(response.headers_mut());
                }
                let body = |body| EitherBody::first(ResponseBody::inner(body));
                return Poll::Ready(Ok(response.map(body)));
            }
            StateProj::Direct(rule, caller) => answer(rule, *caller),
            StateProj::Refused(error, caller) => caller.reject(error),
        };
        Poll::Ready(Ok(response.map(EitherBody::first)))
    }
}

/// The rule's own answer.
fn answer<RB>(rule: &Compiled, caller: Caller) -> Response<ResponseBody<RB>> {
    match &rule.answer {
        Answer::Direct(direct) => {
            let mut response = caller.direct(direct);
            rule.rewrite.on_response(response.headers_mut());
            response
        }
        Answer::Routed(_) => caller.reject(&TunnelError::internal("the rule has no answer of its own")),
    }
}

impl<S, M, B> fmt::Debug for ResponseFuture<S, M, B>
where
    S: Service<Request<B>>,
    M: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Matched(..) => "ResponseFuture::Matched(..)",
            State::Missed(_) => "ResponseFuture::Missed(..)",
            State::Direct(..) => "ResponseFuture::Direct(..)",
            State::Refused(..) => "ResponseFuture::Refused(..)",
        })
    }
}
