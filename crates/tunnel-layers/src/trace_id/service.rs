use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Body;
use tower_service::Service;
use tracing::{Level, Span, field::Empty};
use tunnel_core::{Lifetime, Record, admit::UpgradeRequest};

use super::{MakeTraceId, RandomTraceId, TracedBody, future::ResponseFuture, layer::Settings};
use crate::{
    admission,
    reject::Caller,
    trace::{self, watch::Watch},
    trace_context::{SpanId, TraceContext},
};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The fields that this layer and admission add to a head that has none of them.
const ADDED: usize = 5;

/// The service of [`TraceIdLayer`](super::TraceIdLayer).
#[derive(Clone, Debug)]
pub struct Traced<S, M = RandomTraceId> {
    inner: S,
    settings: Settings<M>,
}

impl<S, M> Traced<S, M> {
    pub(super) const fn new(inner: S, settings: Settings<M>) -> Self {
        Self { inner, settings }
    }
}

wraps_inner!(Traced<S, M>);

impl<S, M, B, RB> Service<Request<B>> for Traced<S, M>
where
    S: Service<Request<B>, Response = Response<RB>>,
    M: MakeTraceId,
    RB: Body<Data = Bytes>,
{
    type Response = Response<TracedBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (context, parent) = self.settings.context(request.headers_mut());
        request.extensions_mut().insert(context);
        let tracer = self.settings.tracer.as_ref();
        let step = tracer.and_then(|tracer| trace::begin(tracer, context, parent, &mut request));
        let id = context.trace_id();
        if let Some(record) = request.extensions().get::<Record>()
            && record.is_full()
        {
            record.note_trace(id.to_core());
        }
        let span = span(self.settings.level, &request, &context);
        let entered = span.enter();
        let admitted = admission::ensure(&mut request);
        let watch = step.map(|step| {
            trace::describe(&step, &request);
            Watch::new(step, &mut request)
        });
        if let Err(error) = admitted {
            drop(entered);
            return ResponseFuture::refused(error, Caller::of(&request), span, watch);
        }
        admission::introduce(&mut request);
        // Nothing else outlives the response's body.
        if request.extensions().get::<UpgradeRequest>().is_some() {
            Lifetime::of(request.extensions_mut()).hold(span.clone());
        }
        let call = self.inner.call(request);
        drop(entered);
        ResponseFuture::called(call, id, span, watch)
    }
}

impl<M: MakeTraceId> Settings<M> {
    /// The place of a request with these headers, which then say so, and the step that it is a part of.
    fn context(&self, headers: &mut HeaderMap) -> (TraceContext, Option<SpanId>) {
        let span_id = self.make.span_id();
        let outer = self.outer(headers);
        let context = match &outer {
            Some(parent) => parent.child(span_id),
            None => {
                headers.remove(TRACESTATE);
                let id = self.make.trace_id(headers);
                let sampled = self.sampled && self.tracer.as_ref().is_none_or(|tracer| tracer.samples(id));
                let context = TraceContext::new(id, span_id, sampled);
                if self.make.is_random() {
                    context.random()
                } else {
                    context
                }
            }
        };
        // For what admission will add as well: the map that a codec makes is full.
        headers.reserve(ADDED);
        headers.insert(TRACEPARENT, context.to_header());
        (context, outer.map(|outer| outer.span_id()))
    }

    /// The one valid `traceparent`, if it is to be believed.
    fn outer(&self, headers: &HeaderMap) -> Option<TraceContext> {
        if self.trust { parent(headers) } else { None }
    }
}

/// The one valid `traceparent` among these headers.
pub(crate) fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(only), None) => TraceContext::parse(only.as_bytes()),
        _ => None,
    }
}

/// The level of a span is a part of the place that it is made at, so there is a place for each.
fn span<B>(level: Level, request: &Request<B>, context: &TraceContext) -> Span {
    macro_rules! at {
        ($level:expr) => {
            tracing::span!(
                $level,
                "exchange",
                trace.id = %context.trace_id(),
                span.id = %context.span_id(),
                http.request.method = %request.method(),
                url.path = request.uri().path(),
                http.response.status_code = Empty,
                enduser.id = Empty,
            )
        };
    }
    match level {
        Level::ERROR => at!(Level::ERROR),
        Level::WARN => at!(Level::WARN),
        Level::INFO => at!(Level::INFO),
        Level::DEBUG => at!(Level::DEBUG),
        Level::TRACE => at!(Level::TRACE),
    }
}
