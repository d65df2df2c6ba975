use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tunnel_core::trace::SpanValue;

use super::{ResponseFuture, TraceSpan, Tracer, WatchedBody, watch::Watch, words};
use crate::{
    TraceContext, admission,
    trace_id::{MakeTraceId as _, RandomTraceId, TRACEPARENT, parent},
};

/// Measures what an agent does for the requests that come to it; see the [module](super).
#[derive(Clone, Debug)]
pub struct ServeLayer {
    tracer: Option<Tracer>,
    fixed: words::Fixed,
}

impl ServeLayer {
    /// Tells the traces that `tracer` tells.
    #[must_use]
    pub const fn new(tracer: Tracer) -> Self {
        Self {
            tracer: Some(tracer),
            fixed: Vec::new(),
        }
    }

    /// Tells nothing, and passes requests on as they are.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            tracer: None,
            fixed: Vec::new(),
        }
    }

    /// Says the same of each of its steps, such as who the agent is: `tunnel.agent`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<SpanValue>) -> Self {
        self.fixed.push((key, value.into()));
        self
    }

    /// The step that begins with this request, if its trace is sampled.
    fn begin<B>(&self, request: &mut Request<B>) -> Option<Box<Watch>> {
        let tracer = self.tracer.as_ref()?;
        let parent = parent(request.headers());
        let context = match parent {
            Some(parent) if !parent.is_sampled() => return None,
            Some(parent) => parent.child(RandomTraceId.span_id()),
            None => {
                let id = RandomTraceId.trace_id(request.headers());
                TraceContext::new(id, RandomTraceId.span_id(), tracer.samples(id)).random()
            }
        };
        request.headers_mut().insert(TRACEPARENT, context.to_header());
        request.extensions_mut().insert(context);
        if !context.is_sampled() {
            return None;
        }
        // What was not admitted is not known well enough; who refuses it stands further in.
        let _ = admission::ensure(request);
        let parent = parent.map(|parent| parent.span_id());
        let name = words::rpc_name(request).unwrap_or_else(|| words::name(request).into());
        let span = TraceSpan::first(tracer, context, parent, name);
        words::describe(&span, request);
        for (key, value) in &self.fixed {
            span.set(key, value.clone());
        }
        request.extensions_mut().insert(span.clone());
        Some(Watch::new(span, request))
    }
}

impl<S> Layer<S> for ServeLayer {
    type Service = Serve<S>;

    fn layer(&self, inner: S) -> Serve<S> {
        let layer = self.clone();
        Serve { inner, layer }
    }
}

/// The service of [`ServeLayer`].
#[derive(Clone, Debug)]
pub struct Serve<S> {
    inner: S,
    layer: ServeLayer,
}

wraps_inner!(Serve<S>);

impl<S, B, RB> Service<Request<B>> for Serve<S>
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
        let watch = self.layer.begin(&mut request);
        ResponseFuture::new(self.inner.call(request), watch)
    }
}
