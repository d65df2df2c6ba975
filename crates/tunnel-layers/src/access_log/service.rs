use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{layer::Settings, lines::Line};
use crate::observe::{Guard, Half, RequestBody, ResponseBody, ResponseFuture, Wants, Wire, begin};

/// The service of [`AccessLogLayer`](super::AccessLogLayer).
#[derive(Clone)]
pub struct AccessLog<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> AccessLog<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    fn begin<B>(&self, request: &mut Request<B>) -> (Half, Guard) {
        let wire = Wire::of(request);
        let line = Line::of(request, wire, Arc::clone(&self.settings));
        begin(request, wire, Wants::All, line)
    }
}

wraps_inner!(AccessLog<S>);

impl<S, B, RB> Service<Request<B>> for AccessLog<S>
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
        let (half, guard) = match self.settings.is_on {
            true => self.begin(&mut request),
            false => (Half::none(), Guard::none()),
        };
        let call = self.inner.call(request.map(|body| RequestBody::new(body, half)));
        ResponseFuture::new(call, guard)
    }
}

impl<S: fmt::Debug> fmt::Debug for AccessLog<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
