//! The future of the layers that watch.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{ResponseBody, exchange::Guard};

/// Resolves to the response of the wrapped service. Dropping it drops the call, and ends the exchange.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    /// None once the response is there, or if nobody watches.
    guard: Option<Guard>,
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, guard: Guard) -> Self {
        guard.progressed();
        Self {
            inner,
            guard: Some(guard),
        }
    }
}

impl<F> ResponseFuture<F> {
    /// That of a call that nobody watches.
    pub(crate) const fn unwatched(inner: F) -> Self {
        Self { inner, guard: None }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body,
    E: 'static,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        let Poll::Ready(result) = polled else {
            if let Some(guard) = this.guard {
                guard.progressed();
            }
            return Poll::Pending;
        };
        Poll::Ready(match this.guard.take() {
            Some(guard) => guard.answered(result),
            None => result.map(|response| response.map(ResponseBody::unwatched)),
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
