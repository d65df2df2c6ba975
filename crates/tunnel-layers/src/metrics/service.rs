use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::meter::{Meter, Meters};
use crate::observe::{RequestBody, ResponseBody, ResponseFuture, Wire, begin};

/// The service of [`MetricsLayer`](super::MetricsLayer).
#[derive(Clone)]
pub struct Metrics<S> {
    inner: S,
    meters: Arc<Meters>,
}

impl<S> Metrics<S> {
    pub(super) const fn new(inner: S, meters: Arc<Meters>) -> Self {
        Self { inner, meters }
    }
}

wraps_inner!(Metrics<S>);

impl<S, B, RB> Service<Request<B>> for Metrics<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<RB>>,
    S::Error: 'static,
    RB: Body,
    RB::Error: 'static,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.meters.is_on() {
            return ResponseFuture::unwatched(self.inner.call(request.map(RequestBody::unwatched)));
        }
        let wire = Wire::of(&request);
        let (request, guard) = begin(request, wire, Meter::new(Arc::clone(&self.meters), wire));
        ResponseFuture::new(self.inner.call(request), guard)
    }
}

impl<S: fmt::Debug> fmt::Debug for Metrics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
