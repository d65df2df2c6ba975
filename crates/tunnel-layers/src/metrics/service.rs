use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::meter::{Meter, Meters};
use crate::observe::{Guard, Half, RequestBody, ResponseBody, ResponseFuture, Wants, Wire, begin};

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

    fn begin<B>(&self, request: &mut Request<B>) -> (Half, Guard) {
        let wire = Wire::of(request);
        let meter = Meter::new(Arc::clone(&self.meters), wire);
        begin(request, wire, Wants::Counts, meter)
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (half, guard) = match self.meters.is_on() {
            true => self.begin(&mut request),
            false => (Half::none(), Guard::none()),
        };
        let call = self.inner.call(request.map(|body| RequestBody::new(body, half)));
        ResponseFuture::new(call, guard)
    }
}

impl<S: fmt::Debug> fmt::Debug for Metrics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
