use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::TraceSpan;

/// Marks where another part of a request's way begins; see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct StageLayer {
    name: &'static str,
}

impl StageLayer {
    /// From here on, a request is in the stage with this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl<S> Layer<S> for StageLayer {
    type Service = Stage<S>;

    fn layer(&self, inner: S) -> Stage<S> {
        let name = self.name;
        Stage { inner, name }
    }
}

/// The service of [`StageLayer`].
#[derive(Clone, Debug)]
pub struct Stage<S> {
    inner: S,
    name: &'static str,
}

wraps_inner!(Stage<S>);

impl<S: Service<Request<B>>, B> Service<Request<B>> for Stage<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(span) = request.extensions().get::<TraceSpan>() {
            span.stage(self.name);
        }
        self.inner.call(request)
    }
}
