//! Where the ways to agents and to upstreams part.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tunnel_core::{Routed, Target};

use super::EitherBody;
use crate::oneshot::Oneshot;

/// Sends requests whose rule goes to an upstream to the service for upstreams, and all others on. It comes from
/// [`RouteLayer::with_upstreams`](super::RouteLayer::with_upstreams), and stands just outside `BalanceLayer`, so that both
/// ways share auth, limits and deadline.
#[derive(Clone, Debug)]
#[must_use = "without it in the stack, requests for upstreams reach the layers for agents"]
pub struct SplitLayer<U> {
    upstreams: U,
}

impl<U> SplitLayer<U> {
    pub(super) const fn new(upstreams: U) -> Self {
        Self { upstreams }
    }
}

impl<S, U: Clone> Layer<S> for SplitLayer<U> {
    type Service = Split<S, U>;

    fn layer(&self, inner: S) -> Split<S, U> {
        Split {
            inner,
            upstreams: self.upstreams.clone(),
        }
    }
}

/// The service of [`SplitLayer`]. It is always ready, and waits in its future until the service that gets the request is.
#[derive(Clone, Debug)]
pub struct Split<S, U> {
    inner: S,
    upstreams: U,
}

wraps_inner!(Split<S, U>);

impl<S, U, B, RB, UB> Service<Request<B>> for Split<S, U>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    U: Service<Request<B>, Response = Response<UB>> + Clone,
    U::Error: Into<S::Error>,
{
    /// The body of an upstream is boxed: it is far larger than what comes from an agent, and answers of both kinds are moved through
    /// all layers further out.
    type Response = Response<EitherBody<RB, Pin<Box<UB>>>>;
    type Error = S::Error;
    type Future = SplitFuture<S, U, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let target = request.extensions().get::<Routed>().map(|routed| &routed.target);
        SplitFuture(match target {
            Some(Target::Upstream(_)) => Way::Upstream(Box::pin(Oneshot::now(&mut self.upstreams, request))),
            Some(Target::Group(_)) | None => Way::Agents(Oneshot::now(&mut self.inner, request)),
        })
    }
}

/// The future of [`Split`]. Dropping it drops the call.
#[pin_project]
pub struct SplitFuture<S, U, B>(#[pin] Way<S, U, B>)
where
    S: Service<Request<B>>,
    U: Service<Request<B>>;

#[pin_project(project = WayProj)]
enum Way<S, U, B>
where
    S: Service<Request<B>>,
    U: Service<Request<B>>,
{
    Agents(#[pin] Oneshot<S, Request<B>>),
    /// Boxed for its size.
    Upstream(Pin<Box<Oneshot<U, Request<B>>>>),
}

impl<S, U, B, RB, UB> Future for SplitFuture<S, U, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    U: Service<Request<B>, Response = Response<UB>>,
    U::Error: Into<S::Error>,
{
    type Output = Result<Response<EitherBody<RB, Pin<Box<UB>>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().0.project() {
            WayProj::Agents(call) => ready!(call.poll(cx)).map(|response| response.map(EitherBody::first)),
            WayProj::Upstream(call) => ready!(call.as_mut().poll(cx))
                .map(|response| response.map(|body| EitherBody::second(Box::pin(body))))
                .map_err(Into::into),
        })
    }
}

impl<S, U, B> fmt::Debug for SplitFuture<S, U, B>
where
    S: Service<Request<B>>,
    U: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitFuture").finish_non_exhaustive()
    }
}
