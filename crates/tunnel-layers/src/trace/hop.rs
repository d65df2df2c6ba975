use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tunnel_core::trace::SpanValue;

use super::{ResponseFuture, TraceSpan, WatchedBody, watch::Watch, words};
use crate::trace_id::TRACEPARENT;

/// Measures what somebody else does for a request, from here to the end of the exchange; see the [module](super).
#[derive(Clone, Debug)]
pub struct HopLayer {
    name: Option<&'static str>,
    fixed: words::Fixed,
}

impl HopLayer {
    /// Around what writes to an agent, just inside [`BalanceLayer`](crate::balance): each attempt is a step named `tunnel`.
    #[must_use]
    pub const fn tunnel() -> Self {
        Self {
            name: Some("tunnel"),
            fixed: Vec::new(),
        }
    }

    /// Around the client of an upstream: each request is a step with the name of its method.
    #[must_use]
    pub const fn upstream() -> Self {
        Self {
            name: None,
            fixed: Vec::new(),
        }
    }

    /// Says the same of each of its steps.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<SpanValue>) -> Self {
        self.fixed.push((key, value.into()));
        self
    }
}

impl<S> Layer<S> for HopLayer {
    type Service = Hop<S>;

    fn layer(&self, inner: S) -> Hop<S> {
        let layer = self.clone();
        Hop { inner, layer }
    }
}

/// The service of [`HopLayer`].
#[derive(Clone, Debug)]
pub struct Hop<S> {
    inner: S,
    layer: HopLayer,
}

wraps_inner!(Hop<S>);

impl<S, B, RB> Service<Request<B>> for Hop<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: 'static,
    RB: Body<Data = Bytes>,
    RB::Error: 'static,
{
    type Response = Response<WatchedBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let outer = request.extensions().get::<TraceSpan>().cloned();
        let watch = outer.map(|outer| self.layer.begin(&outer, &mut request));
        ResponseFuture::new(self.inner.call(request), watch)
    }
}

impl HopLayer {
    fn begin<B>(&self, outer: &TraceSpan, request: &mut Request<B>) -> Box<Watch> {
        let name = match self.name {
            Some(name) => name.into(),
            None => words::rpc_name(request).unwrap_or_else(|| words::name(request).into()),
        };
        let (span, before) = outer.hop(name);
        words::describe(&span, request);
        words::describe_session(&span, request);
        for (key, value) in &self.fixed {
            span.set(key, value.clone());
        }
        if before > 0 {
            span.set(words::RESEND_COUNT, before);
        }
        // Who gets the request continues the trace from this step.
        request
            .headers_mut()
            .insert(TRACEPARENT, span.context().to_header());
        Watch::new(span, request)
    }
}
