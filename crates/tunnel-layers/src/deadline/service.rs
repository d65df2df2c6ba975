use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::BoxError;

use super::{DeadlineBody, future::ResponseFuture, time::limit};
use crate::{admission, reject::Caller};

/// The service of [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Clone, Copy, Debug)]
pub struct Deadline<S> {
    inner: S,
    default: Option<Duration>,
}

impl<S> Deadline<S> {
    /// Wraps `inner`; `default` is the time for exchanges whose rule names none.
    pub const fn new(inner: S, default: Option<Duration>) -> Self {
        Self { inner, default }
    }
}

wraps_inner!(Deadline<S>);

impl<S, B, RB> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<DeadlineBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = Caller::of(&request);
        let limited = admission::admit(request).and_then(|mut request| {
            let end = limit(&mut request, caller.dialect(), self.default)?;
            Ok((request, end))
        });
        match limited {
            Ok((request, end)) => ResponseFuture::called(self.inner.call(request), end, caller),
            Err(error) => ResponseFuture::refused(error, caller),
        }
    }
}
