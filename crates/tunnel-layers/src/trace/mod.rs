//! Tells the steps of sampled traces: what each part of a request's way took, at the gateway, at the agent and behind it.
//!
//! A [`Tracer`] says which new traces are sampled, and to which [`SpanRecorder`](tunnel_core::trace::SpanRecorder) the steps go. What a step says is
//! in the words of OpenTelemetry's semantic conventions for HTTP and RPC; `tunnel.rule`, `tunnel.group`, `tunnel.agent`,
//! `tunnel.request_id`, `tunnel.error` (the word of `x-tunnel-error`) and `tunnel.canceled` are ours.
//!
//! ```text
//! GET shop                     server    TraceIdLayer::tracer, at the gateway
//! ├─ route                     internal  StageLayer::new("route"), just outside RouteLayer
//! ├─ auth                      internal  StageLayer::new("auth"), just outside AuthLayer
//! ├─ queue                     internal  StageLayer::new("queue"), just inside AuthLayer: limits, and the choice of an agent
//! └─ tunnel                    client    HopLayer::tunnel(), just inside BalanceLayer; one for each attempt
//!    └─ GET                    server    ServeLayer, around what the agent serves
//!       └─ GET                 client    HopLayer::upstream(), around the client of the upstream
//!          └─ ...                        what the upstream tells itself
//! ```
//!
//! A step ends with the exchange: with its body, an error, whoever gives up, or the end of an upgraded stream. A stage ends where the
//! next begins, or with the head of the answer. What goes on in `traceparent` is the id of the innermost step that is told, so that
//! whoever gets the request is its child. Requests of traces that are not sampled cost a look into their extensions at each of these
//! layers, and nothing is made for them.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::trace::{SpanRecorder, SpanRecord};
//! use tunnel_layers::{trace::{HopLayer, StageLayer, Tracer}, trace_id::TraceIdLayer};
//!
//! #[derive(Clone, Default)]
//! struct Spans(Arc<Mutex<Vec<SpanRecord>>>);
//!
//! impl SpanRecorder for Spans {
//!     fn record(&self, span: SpanRecord) {
//!         self.0.lock().unwrap().push(span);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tunnel_core::BoxError> {
//! let spans = Spans::default();
//! let service = ServiceBuilder::new()
//!     .layer(TraceIdLayer::new().tracer(Tracer::new(spans.clone())))
//!     .layer(StageLayer::new("queue"))
//!     .layer(HopLayer::upstream())
//!     .service(service_fn(|_: Request<String>| async {
//!         Ok::<_, tunnel_core::BoxError>(Response::new(String::new()))
//!     }));
//! service.oneshot(Request::get("/").header("host", "example.com").body(String::new())?).await?;
//!
//! let spans = spans.0.lock().unwrap();
//! let [queue, upstream, exchange] = &spans[..] else { panic!("{spans:?}") };
//! assert_eq!((&*queue.name, queue.parent_id), ("queue", Some(exchange.span_id)));
//! assert_eq!((&*upstream.name, upstream.parent_id), ("GET", Some(exchange.span_id)));
//! assert_eq!(exchange.attribute("http.response.status_code"), Some(&200_u16.into()));
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! As in the picture. `StageLayer` and `HopLayer` find what they belong to in the request's extensions: a [`TraceSpan`], to which layers
//! of your own may add attributes, stages and children. Without one they do nothing.

mod hop;
mod serve;
mod span;
mod stage;
mod tracer;
pub(crate) mod watch;
mod watched;
mod words;

use http::Request;

pub use self::{
    hop::{Hop, HopLayer},
    serve::{Serve, ServeLayer},
    span::TraceSpan,
    stage::{Stage, StageLayer},
    tracer::Tracer,
    watched::{ResponseFuture, WatchedBody},
};
use crate::trace_context::{SpanId, TraceContext};

/// The step that begins with a request from outside, if its trace is sampled. What admission finds out is not known yet.
pub(crate) fn begin<B>(
    tracer: &Tracer,
    context: TraceContext,
    parent: Option<SpanId>,
    request: &mut Request<B>,
) -> Option<TraceSpan> {
    if !context.is_sampled() {
        return None;
    }
    let span = TraceSpan::first(tracer, context, parent, words::name(request));
    request.extensions_mut().insert(span.clone());
    Some(span)
}

/// What a request from outside says, once it was admitted, or refused.
pub(crate) fn describe<B>(span: &TraceSpan, request: &Request<B>) {
    words::describe(span, request);
    words::describe_connection(span, request);
}

#[cfg(all(test, feature = "full"))]
mod tests;
