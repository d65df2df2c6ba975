//! The future of [`Swap`](super::Swap).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower_service::Service;

use crate::oneshot::Oneshot;

/// Waits for the service that the request began with, and for its response. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<S: Service<R>, R>(#[pin] Oneshot<S, R>);

impl<S: Service<R> + Clone, R> ResponseFuture<S, R> {
    #[inline(always)]
    pub(super) fn new(service: &mut S, request: R) -> Self {
        Self(Oneshot::now(service, request))
    }
}

impl<S: Service<R>, R> Future for ResponseFuture<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx)
    }
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
