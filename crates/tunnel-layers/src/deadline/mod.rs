//! Ends exchanges that take too long.
//!
//! [`DeadlineLayer`] gives an exchange the time of its rule ([`Timeouts::whole`](tunnel_core::Timeouts), which
//! [`RouteLayer`](crate::route) puts into the extensions), else a default if there is one, from the request's head to the end
//! of the response's body. A gRPC call has less if its caller says so in `grpc-timeout`. When it is over, the wrapped future
//! or body is dropped, which cancels what is behind it, and
//!
//! * before the head, the caller is answered 504, or DEADLINE_EXCEEDED;
//! * after the head of a gRPC response, trailers say DEADLINE_EXCEEDED and the body ends;
//! * after any other head, the body fails, so that the server breaks the transfer.
//!
//! The time is counted from [`Arrival`](tunnel_core::route::Arrival) in the extensions: unless whoever received the request
//! has put it there, that is when the first of our layers saw the request.
//!
//! # gRPC
//!
//! `grpc-timeout` is 1 to 8 digits and a unit (`H`, `M`, `S`, `m`, `u`, `n`; gRPC over HTTP/2, "Requests"). Anything else is
//! answered INTERNAL, as a malformed request is; zero, and what was over before the request came here, DEADLINE_EXCEEDED. The
//! request goes on with what is left of the call's time, whoever has set it, in the same field; a call without any limit
//! goes on without the field. What is left is told once more when the request leaves through
//! [`ChunkLayer`](crate::chunk), since it may have waited for an agent. The field of a request that is not gRPC is left alone.
//!
//! # Upgrades
//!
//! A connection that was switched to another protocol is no longer an exchange of this kind: the deadline ends with the
//! response that switched it.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::deadline::DeadlineLayer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new().default_timeout(Duration::from_secs(30)))
//!     .service(service_fn(|_: Request<String>| {
//!         std::future::pending::<Result<Response<String>, Infallible>>()
//!     }));
//!
//! let request = Request::builder().header("host", "example.com").body(String::new()).unwrap();
//! let answer = service.oneshot(request).await.unwrap();
//! assert_eq!(answer.status(), 504);
//! assert_eq!(answer.headers()["x-tunnel-error"], "deadline");
//! # }
//! ```
//!
//! # Order
//!
//! Inside [`RouteLayer`](crate::route), which knows the rule's timeout, and outside all that may take long. It works with or
//! without [`RescueLayer`](crate::rescue) outside. Its future and body need tokio's timer.

mod body;
pub mod future;
mod layer;
mod service;
mod time;

pub use self::{body::DeadlineBody, layer::DeadlineLayer, service::Deadline};

use tunnel_core::{Cause, Initiator, TunnelError};

/// That the time is over.
fn over() -> TunnelError {
    TunnelError::new(Cause::Deadline, Initiator::Tunnel, "the deadline passed")
}

#[cfg(all(test, feature = "full"))]
mod tests;
