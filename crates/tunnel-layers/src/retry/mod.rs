//! Sends requests again that may have been carried out, where their rule allows it: in front of a gateway's own upstreams, or of any
//! other service that may answer better the second time. For agents, [`BalanceLayer`](crate::balance) does the same.
//!
//! The [`RetryPolicy`](tunnel_core::RetryPolicy) stands in the request's [`Routed`](tunnel_core::Routed) extension, where
//! [`Rule::retry`](crate::route::Rule::retry) has put it. A request is sent again after answers and failures that it names, for its
//! methods, within its budget, after its backoff, before the deadline, and as long as the whole body is there; never one that asked for an
//! upgrade. Requests without a policy pass as they are.
//!
//! An upstream of several servers sends a retry to one that has not had the request, if there is one: the layer puts
//! [`Tried`](tunnel_core::retry::Tried) into the extensions for that.
//!
//! # Order
//!
//! Inside everything that decides whether and where a request goes, and around nothing but what sends it there: a retry is not
//! authenticated, counted or limited again.
//!
//! # Example
//!
//! ```
//! # use std::{pin::Pin, time::Instant};
//! # use tunnel_core::{BoxTask, RequestId, Runtime};
//! # #[derive(Debug)]
//! # struct Tokio;
//! # impl Runtime for Tokio {
//! #     fn spawn(&self, task: BoxTask) { tokio::spawn(task); }
//! #     fn now(&self) -> Instant { tokio::time::Instant::now().into_std() }
//! #     fn sleep_until(&self, at: Instant) -> BoxTask { Box::pin(tokio::time::sleep_until(at.into())) }
//! #     fn request_id(&self, _: Instant) -> RequestId { RequestId::from_parts(0, [0; 10]) }
//! #     fn random(&self) -> [u8; 16] { [0; 16] }
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{RetryPolicy, Routed, Target, TunnelError};
//! use tunnel_layers::retry::{Lent, RetryLayer};
//!
//! // `TokioRuntime::current()` of the transport, say.
//! let runtime = Arc::new(Tokio);
//! let calls = Arc::new(AtomicU32::new(0));
//! let service = ServiceBuilder::new().layer(RetryLayer::new(runtime)).service(service_fn(move |_: Request<Lent<String>>| {
//!     let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
//!     async move { Ok::<_, TunnelError>(Response::builder().status(status).body(String::new()).unwrap()) }
//! }));
//!
//! let mut request = Request::builder().uri("/").header("host", "example.com").body(String::new()).unwrap();
//! let mut routed = Routed::new("site", Target::Upstream("site".into()));
//! routed.retry = Some(Arc::new(RetryPolicy::new(2)));
//! request.extensions_mut().insert(routed);
//! assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
//! # });
//! ```

mod future;
mod layer;
mod service;
#[cfg(all(test, feature = "full"))]
mod tests;

pub use crate::lent::{Lent, MAX_REPLAY_BYTES};

pub use self::{future::ResponseFuture, layer::RetryLayer, service::Retry};
