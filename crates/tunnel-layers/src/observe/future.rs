//! The future of the layers that watch.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{ResponseBody, guard::Guard};

/// Resolves to the response of the wrapped service. Dropping it drops the call, and ends the exchange.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    guard: Guard,
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) const fn new(inner: F, guard: Guard) -> Self {
        Self { inner, guard }
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
        match this.inner.poll(cx) {
            Poll::Pending => {
                this.guard.progressed();
                Poll::Pending
            }
            Poll::Ready(Ok(response)) => {
                this.guard.answered(&response);
                let guard = mem::take(this.guard);
                Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, guard))))
            }
            Poll::Ready(Err(error)) => {
                this.guard.failed(&error);
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
