use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::{BoxError, TunnelError};

use super::{RescueBody, classify, future::ResponseFuture};
use crate::admission;

/// The service of [`RescueLayer`](super::RescueLayer).
#[derive(Debug)]
pub struct Rescue<S> {
    inner: S,
    /// Why `inner` did not become ready; answers the next call.
    unready: Option<TunnelError>,
}

impl<S> Rescue<S> {
    /// Wraps `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner, unready: None }
    }
}

wraps_inner!(Rescue<S>);

impl<S: Clone> Clone for Rescue<S> {
    /// A clone has its own readiness.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S, B, RB> Service<Request<B>> for Rescue<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<RescueBody<RB>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.unready.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.inner.poll_ready(cx).map(|ready| {
            self.unready = ready.err().map(|error| classify(&error.into(), None));
            Ok(())
        })
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Some(error) = self.unready.take() {
            return ResponseFuture::refused(error, caller);
        }
        match admitted {
            Ok(()) => ResponseFuture::called(self.inner.call(request), caller),
            Err(error) => ResponseFuture::refused(error, caller),
        }
    }
}
