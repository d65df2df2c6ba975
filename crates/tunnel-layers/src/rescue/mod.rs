//! Turns failures into responses.
//!
//! [`RescueLayer`] makes a fallible stack infallible, as axum, tonic and hyper want it:
//!
//! * a [`TunnelError`], found anywhere in the chain of sources, becomes its response in the caller's dialect,
//!   through [`reject`](crate::reject): [`NoAgent`](tunnel_core::Cause::NoAgent), say, is 503, or UNAVAILABLE;
//! * any other error is [`Internal`](tunnel_core::Cause::Internal). The client never sees its text, which goes to the log
//!   (with the feature `tracing`);
//! * an error of [`poll_ready`](tower_service::Service::poll_ready) is kept, and answers the next call;
//! * after the head of a gRPC response, an error of the body becomes trailers with our `grpc-status`, and a clean end;
//!   after trailers, which have told the call's status, it is the end.
//!   Any other body fails as it did, so that the server breaks the transfer: a truncated body must not look complete.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{Cause, Initiator, TunnelError};
//! use tunnel_layers::rescue::RescueLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(RescueLayer::new())
//!     .service(service_fn(|_: Request<String>| async {
//!         let error = TunnelError::new(Cause::Upstream, Initiator::Peer, "the upstream could not be reached");
//!         Err::<Response<String>, _>(error)
//!     }));
//!
//! let request = Request::builder().header("host", "example.com").body(String::new()).unwrap();
//! let answer: Result<_, Infallible> = service.oneshot(request).await;
//! let answer = answer.unwrap();
//! assert_eq!(answer.status(), 502);
//! assert_eq!(answer.headers()["x-tunnel-error"], "upstream");
//! # }
//! ```
//!
//! # Order
//!
//! Inside [`TraceIdLayer`](crate::trace_id), so that a rescued response has the trace id; outside everything that fails.
//! Layers outside it see responses only, so those that count failures read the
//! [`TunnelError`] from the response's extensions.

mod body;
pub mod future;
mod layer;
mod service;

pub use self::{body::RescueBody, layer::RescueLayer, service::Rescue};

use tunnel_core::{BoxError, TunnelError};

use crate::trace_context::TraceId;

/// The tunnel's error in a chain of sources, else one that hides the text of what failed in `trace`.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
fn classify(error: &BoxError, trace: Option<TraceId>) -> TunnelError {
    if let Some(found) = TunnelError::find(&**error) {
        return found.clone();
    }
    #[cfg(feature = "tracing")]
    tracing::error!(
        trace.id = trace.map(tracing::field::display),
        error = &**error as &(dyn std::error::Error + 'static),
        "a service failed with an error that is not the tunnel's"
    );
    TunnelError::internal("the service failed").with_sent(tunnel_core::Sent::Yes)
}

#[cfg(all(test, feature = "full"))]
mod tests;
