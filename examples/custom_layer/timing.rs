//! Tells the client how long the head of the response took (`Server-Timing`, W3C), under the id of the rule.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};
use tunnel_core::Routed;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Makes [`Timing`] of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimingLayer;

impl<S> Layer<S> for TimingLayer {
    type Service = Timing<S>;

    fn layer(&self, inner: S) -> Timing<S> {
        Timing { inner }
    }
}

/// The service of [`TimingLayer`]: generic over both bodies, and with the error of what it wraps, so it fits anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Timing<S> {
    inner: S,
}

impl<S, B, RB> Service<Request<B>> for Timing<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> TimingFuture<S::Future> {
        let rule = request
            .extensions()
            .get::<Routed>()
            .map(|routed| routed.rule.clone());
        TimingFuture {
            inner: self.inner.call(request),
            start: Instant::now(),
            rule,
        }
    }
}

/// The future of [`Timing`]. Dropping it drops the call.
#[pin_project]
pub(crate) struct TimingFuture<F> {
    #[pin]
    inner: F,
    start: Instant,
    rule: Option<Arc<str>>,
}

impl<F, B, E> Future for TimingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let millis = this.start.elapsed().as_secs_f64() * 1_000.0;
        let rule = this.rule.as_deref().unwrap_or("unrouted");
        // The ids of rules are visible ASCII, but some of that may not stand in a token.
        if let Ok(value) = HeaderValue::try_from(format!("{rule};dur={millis:.1}")) {
            response.headers_mut().append(SERVER_TIMING, value);
        }
        Poll::Ready(Ok(response))
    }
}
