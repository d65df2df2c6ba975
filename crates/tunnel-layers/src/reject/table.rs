//! Causes, and what they are called outside.

use http::StatusCode;
use tunnel_core::Cause;

/// The codes of gRPC that the tunnel uses (`google.rpc.Code`).
#[derive(Clone, Copy)]
enum Code {
    Canceled = 1,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// The HTTP status for a cause.
///
/// [`Cause::Canceled`] is 502: when the outside client went away nobody reads the answer, so the only ones who see it are
/// clients for whom the other end of the tunnel gave up.
#[must_use]
pub const fn status(cause: Cause) -> StatusCode {
    row(cause).0
}

/// The number that `grpc-status` has for a cause.
#[must_use]
pub const fn grpc_code(cause: Cause) -> u32 {
    row(cause).1 as u32
}

const fn row(cause: Cause) -> (StatusCode, Code) {
    match cause {
        Cause::NoRoute => (StatusCode::NOT_FOUND, Code::NotFound),
        Cause::Unauthenticated => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        Cause::Forbidden => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Cause::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        Cause::AuthUnavailable
        | Cause::Overloaded
        | Cause::NoAgent
        | Cause::NoGateway
        | Cause::NoEndpoint
        | Cause::Draining => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Cause::Loop => (StatusCode::LOOP_DETECTED, Code::FailedPrecondition),
        Cause::AgentLost | Cause::Upstream | Cause::Protocol | Cause::BadUpgrade => {
            (StatusCode::BAD_GATEWAY, Code::Unavailable)
        }
        Cause::Canceled => (StatusCode::BAD_GATEWAY, Code::Canceled),
        Cause::Deadline => (StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded),
        Cause::BodyIdle => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
        Cause::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
        Cause::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Code::ResourceExhausted,
        ),
        Cause::UriTooLong => (StatusCode::URI_TOO_LONG, Code::ResourceExhausted),
        Cause::Malformed => (StatusCode::BAD_REQUEST, Code::Internal),
        Cause::MethodNotServed => (StatusCode::NOT_IMPLEMENTED, Code::Unimplemented),
        // `Internal`, and whatever a newer core knows.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
    }
}
