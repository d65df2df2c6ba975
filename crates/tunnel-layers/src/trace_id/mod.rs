//! Follows a request through the tunnel (W3C Trace Context, level 2).
//!
//! [`TraceIdLayer`] reads `traceparent`. A valid one is continued: the request goes on as a new step of the same trace, with
//! its `tracestate` as it came. An invalid one is replaced and its `tracestate` dropped, and a request without one starts a
//! trace. The [`TraceContext`](crate::TraceContext) stands in the request's extensions, for [`reject`](crate::reject), logs,
//! and the wire to the agent. The response has the trace id in [`x-trace-id`](crate::reject::TRACE_ID_HEADER).
//!
//! Around all of it is a `tracing` span named `exchange`, at the level DEBUG unless [said otherwise](TraceIdLayer::level), with the fields `trace.id`, `span.id`, `http.request.method`,
//! `url.path`, and, once they are known, `enduser.id` (see [`auth`](crate::auth)) and `http.response.status_code`. It is entered whenever the wrapped service, its future or
//! its body is polled, and closes when the body ends, fails or is dropped, or with the upgraded stream if there is one.
//!
//! With a [`Tracer`](TraceIdLayer::tracer) the exchange is the first of the steps that [`trace`](crate::trace) tells, and its id is the
//! `span.id` of that span.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::trace_id::TraceIdLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tunnel_core::BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(TraceIdLayer::new())
//!     .service(service_fn(|request: Request<String>| async move {
//!         let parent = request.headers()["traceparent"].to_str().unwrap().to_owned();
//!         Ok::<_, std::convert::Infallible>(Response::new(parent))
//!     }));
//!
//! let request = Request::builder()
//!     .header("host", "example.com")
//!     .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
//!     .body(String::new())?;
//! let answer = service.oneshot(request).await?;
//! assert_eq!(answer.headers()["x-trace-id"], "0af7651916cd43dd8448eb211c80319c");
//!
//! # use http_body_util::BodyExt;
//! let parent = answer.into_body().collect().await?.to_bytes();
//! assert!(parent.starts_with(b"00-0af7651916cd43dd8448eb211c80319c-"));
//! assert!(!parent.ends_with(b"-b7ad6b7169203331-01"));
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! Outermost: what stands outside it has no trace id to tell, and its log lines are not in the span.

mod body;
pub mod future;
mod layer;
mod make;
mod service;

pub(crate) use self::service::{TRACEPARENT, parent};
pub use self::{
    body::TracedBody,
    layer::TraceIdLayer,
    make::{MakeTraceId, RandomTraceId},
    service::Traced,
};

#[cfg(all(test, feature = "full"))]
mod tests;
