use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use tunnel_core::TunnelError;

use crate::upstream::UpstreamBody;

type Outcome = Result<Response<UpstreamBody>, TunnelError>;

/// An exchange with an upstream, until the head of its response. Dropping it drops the exchange there.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Outcome> + Send>>);

impl ResponseFuture {
    pub(super) fn new(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for ResponseFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
