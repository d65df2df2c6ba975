//! Answers that the tunnel gives itself. Nothing else in this crate picks a status code.
//!
//! A [`Caller`] is made from a request before it goes on, and says later how its sender has to be answered:
//!
//! * **plain HTTP**: the status of the [table](status), a body of type `application/problem+json` (RFC 9457) with the
//!   extension members `cause` and `trace_id`, `Retry-After` for 429 and 503 (or when the error knows better),
//!   `WWW-Authenticate` for 401, and `Cache-Control: no-store`, because 404, 414 and 501 may otherwise be stored;
//! * **gRPC**: a response that is trailers only: HTTP 200 with `grpc-status` and `grpc-message` among its headers, and no
//!   body. The caller speaks gRPC when its content type is `application/grpc`, alone or followed by `+` or `;`. With the
//!   feature `grpc`, `grpc-status-details-bin` has the details in the form of `google.rpc.Status`: an `ErrorInfo` with the
//!   cause as its reason (`NO_AGENT`), [`DETAILS_DOMAIN`] as its domain, and in its metadata the `initiator` (`caller`,
//!   `tunnel` or `peer`) and what was `sent` (`no`, `refused` or `yes`); and a `RetryInfo` when it is known when to come back.
//!
//! A caller that an [`Authenticator`](tunnel_core::Authenticator) does not take is [refused](Caller::refuse) in the same way, with
//! that one's challenges.
//!
//! Both carry the stable word for the cause in [`CAUSE_HEADER`] and, if the request has a
//! [`TraceContext`](crate::TraceContext), its trace id in [`TRACE_ID_HEADER`]. The [`TunnelError`] itself stands in the
//! extensions of the response, for logs and metrics.
//!
//! ```
//! use http::{Request, Response};
//! use tunnel_core::{Cause, Initiator, TunnelError};
//! use tunnel_layers::reject::{Caller, ResponseBody};
//!
//! let error = TunnelError::new(Cause::NoAgent, Initiator::Tunnel, "no healthy agent");
//!
//! let request = Request::new(());
//! let answer: Response<ResponseBody<String>> = Caller::of(&request).reject(&error);
//! assert_eq!(answer.status(), 503);
//! assert_eq!(answer.headers()["content-type"], "application/problem+json");
//! assert_eq!(answer.headers()["x-tunnel-error"], "no-agent");
//!
//! let request = Request::builder().header("content-type", "application/grpc").body(()).unwrap();
//! let answer: Response<ResponseBody<String>> = Caller::of(&request).reject(&error);
//! assert_eq!(answer.status(), 200);
//! assert_eq!(answer.headers()["grpc-status"], "14");
//! assert_eq!(answer.headers()["grpc-message"], "no healthy agent");
//! ```

mod body;
mod caller;
#[cfg(feature = "grpc")]
mod details;
mod direct;
mod grpc;
mod problem;
mod table;

use http::HeaderName;
#[cfg(feature = "credentials")]
use tunnel_core::Cause;

#[cfg(any(feature = "auth", feature = "deadline", feature = "rescue"))]
pub(crate) use self::body::without_promise;
pub use self::{
    body::{NoBody, ResponseBody},
    caller::{Caller, Dialect},
    direct::Direct,
    table::{grpc_code, status},
};

#[cfg(doc)]
use tunnel_core::TunnelError;

/// The response header with the stable word for the cause, such as `no-route`.
pub const CAUSE_HEADER: HeaderName = HeaderName::from_static("x-tunnel-error");

/// The response header with the trace id: 32 lower case hexadecimal digits, the `trace-id` of a W3C `traceparent`.
pub const TRACE_ID_HEADER: HeaderName = HeaderName::from_static("x-trace-id");

/// The `domain` of `google.rpc.ErrorInfo` in the details of a gRPC status: reasons are unique within it.
pub const DETAILS_DOMAIN: &str = "tunnel";

/// The longest text about an error that an outside client gets, in bytes: the text may come from a peer, and header
/// blocks are limited.
pub const MAX_DETAIL_BYTES: usize = 1024;

/// The text of an error for the outside client.
fn detail(error: &tunnel_core::TunnelError) -> &str {
    let message = error.message();
    let mut end = message.len().min(MAX_DETAIL_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// Whether a server says that it does not know who sent the request.
#[cfg(feature = "credentials")]
pub(crate) fn is_unauthenticated<B>(response: &http::Response<B>) -> bool {
    let told = response.headers().get("grpc-status");
    response.status() == status(Cause::Unauthenticated)
        || told.is_some_and(|told| *told == grpc_code(Cause::Unauthenticated).to_string())
}

#[cfg(test)]
mod tests;
