//! Ends exchanges that take too long.
//!
//! [`DeadlineLayer`] gives an exchange the times of its rule ([`Timeouts`](tunnel_core::Timeouts), which
//! [`RouteLayer`](crate::route) puts into the extensions), else defaults if there are any:
//!
//! | time | from | to |
//! | --- | --- | --- |
//! | `whole` | the request's head | the end of the response's body, or of the upgraded stream |
//! | `head` | the request's head, or the last piece of its body if that came later | the response's head |
//! | `request_idle` | when the service asks for the next piece of the request's body | when it comes |
//! | `response_idle` | when the server asks for the next piece of the response's body | when it comes |
//!
//! A rule can say of each that it is [unlimited](tunnel_core::Limit::Unlimited), so that streams live where others do not. A
//! gRPC call has less than `whole` if its caller says so in `grpc-timeout`. The idle times run only while somebody waits for the
//! next piece: who reads slowly is not blamed on who writes, and a stream that nobody reads has the time of `whole`.
//!
//! A server may watch the request's body by itself, as this workspace's entry does (30 s); where a rule or a default says
//! anything of `request_idle`, that holds instead ([`BodyIdle`](tunnel_core::route::BodyIdle)).
//!
//! When a time is over, the wrapped future or body is dropped, which cancels what is behind it, and
//!
//! * before the head, the caller is answered 504 (for an idle request 408), or DEADLINE_EXCEEDED;
//! * after the head of a gRPC response, trailers say DEADLINE_EXCEEDED and the body ends;
//! * after any other head, the body fails, so that the server breaks the transfer.
//!
//! `whole` is counted from [`Arrival`](tunnel_core::route::Arrival) in the extensions: unless whoever received the request
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
//! A stream of another protocol outlives the response that switched to it, and this layer does not see it. So the end of
//! `whole` stands in the request's extensions as [`Deadline`](tunnel_core::route::Deadline), for whoever carries the stream
//! to end it then. The other times are not for such streams.
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
//!     .service(service_fn(|_: Request<_>| {
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
//! Inside [`RouteLayer`](crate::route), which knows the rule's timeouts, and outside all that may take long. It works with or
//! without [`RescueLayer`](crate::rescue) outside. What it wraps gets requests
//! with an [`UploadBody`]. Its future and bodies need tokio's timer.

mod body;
mod clocks;
pub mod future;
mod idle;
mod layer;
mod service;
mod time;
mod upload;

pub use self::{body::DeadlineBody, layer::DeadlineLayer, service::Deadline, upload::UploadBody};

use tunnel_core::{Cause, Initiator, TunnelError};

/// That the time for all of it is over.
fn over() -> TunnelError {
    TunnelError::new(Cause::Deadline, Initiator::Tunnel, "the deadline passed")
}

/// That the response's head took too long.
fn head_over() -> TunnelError {
    TunnelError::new(Cause::Deadline, Initiator::Peer, "no answer came in time")
}

/// That the response's body stopped.
fn response_idle() -> TunnelError {
    let text = "the body of the response made no progress for too long";
    TunnelError::new(Cause::Deadline, Initiator::Peer, text)
}

/// That the request's body stopped.
fn upload_idle() -> TunnelError {
    let text = "the body of the request made no progress for too long";
    TunnelError::new(Cause::BodyIdle, Initiator::Caller, text)
}

#[cfg(all(test, feature = "full"))]
mod tests;
