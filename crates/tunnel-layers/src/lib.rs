//! Tower middleware of the reverse tunnel, one layer a concern, each usable alone.
//!
//! # Order
//!
//! Outside in, as `ServiceBuilder` lists them. Any of them may be left out or replaced; a layer that needs another says so.
//!
//! | layer | does | stands |
//! | --- | --- | --- |
//! | [`MetricsLayer`](metrics), [`AccessLogLayer`](access_log) | measure, and tell, each exchange when it has ended | outermost, so that they see all answers as they go out |
//! | [`TraceIdLayer`](trace_id) | W3C `traceparent` in and out, span, trace id on the response | outside all that answers, so that every answer has the id |
//! | [`StageLayer`, `HopLayer`, `ServeLayer`](trace) | the steps of sampled traces, for a collector | at the borders of what they measure |
//! | [`GrpcWebLayer`](grpc_web) | calls of browsers to gRPC and back; CORS for them | outside all that looks at calls |
//! | [`RescueLayer`](rescue) | turns errors into responses, so that the stack is `Error = Infallible` | outside all that fails |
//! | [`RouteLayer`](route) | host, path, method, headers, gRPC service and method to a target; rewrites; timeouts | outside all that reads the rule |
//! | [`TargetLayer`](target) | one fixed target, for requests made in the process | in the place of route, outermost |
//! | [`AuthLayer`](auth) | who calls: a principal in the extensions, or an answer | inside route, before limits by principal |
//! | [`RateLimitLayer`](rate_limit) | how many requests in a time, by [key] | inside auth, so that calls it refuses cost nothing |
//! | [`ConcurrencyLayer`](concurrency) | how many exchanges at once, in all and by [key]; a short line | inside the rate limit |
//! | [`DeadlineLayer`](deadline) | the rule's timeout or the caller's `grpc-timeout`, until the body ends | inside route, which says the timeout |
//! | [`SplitLayer`](route::SplitLayer) | parts upstreams from agents, if rules name upstreams | just outside balance |
//! | [`RetryLayer`](retry) | sends what a rule lets be sent again to the gateway's own upstreams | around those, behind the split |
//! | [`BalanceLayer`](balance) | a healthy agent of the group | outside all that speaks to one agent |
//! | [`UpgradeLayer`](upgrade) | carries out WebSocket and other upgrades | outside chunk |
//! | [`ChunkLayer`](chunk) | HTTP bodies and messages | just outside correlate; here the type changes |
//! | [`CorrelateLayer`](correlate) | the request id, the pending entry, credit | innermost, around the transport |
//!
//! [`Swap`](swap) is no layer: it is a whole stack that can be replaced while it serves, for configuration that changes. Where only
//! the rules change, [`RouteHandle`](route::RouteHandle) replaces those.
//!
//! One more stands around clients, where requests leave: [`CredentialsLayer`](credentials) adds the credentials that we show to
//! others.
//!
//! Every layer up to `ChunkLayer` is generic over request and response bodies and keeps the error of the service that it
//! wraps: a layer that refuses answers at once, through [`reject`], so that it works around an axum `Router`, a tonic service
//! or a `service_fn`, in any order. Only rescue changes the error, to `Infallible`.
//!
//! The first of these layers that sees a request [admits](tunnel_core::admit) it; a refusal is answered like any other. The
//! peer's address comes from [`PeerInfo`](tunnel_core::PeerInfo) in the extensions, else, with the feature `axum`, from axum's
//! `ConnectInfo<SocketAddr>`.
//!
//! # Features
//!
//! None is on by default; each layer has its own: `access_log`, `auth` (and for ways of authenticating that need more: `auth-basic`,
//! `auth-introspection`, `auth-jwt`), `balance`, `chunk`, `concurrency`, `correlate`, `credentials`, `deadline`, `grpc-web`, `metrics`, `rate-limit`, `rescue`, `retry`, `route`,
//! `swap`, `target`, `trace-id`, `upgrade`. Beside them: `axum` (the peer from `ConnectInfo`), `grpc` (every service keeps the
//! `NamedService` of a tonic service that it wraps, and answers to gRPC callers have details that programs read), `tracing`
//! (events; `trace-id` has it anyway), and `full` for all of it.

// Which of the shared parts are used depends on the features.
#[allow(unused_macros)]
#[macro_use]
mod macros;

#[cfg(feature = "access_log")]
pub mod access_log;
#[allow(dead_code)]
mod admission;
#[cfg(feature = "auth")]
pub mod auth;
#[cfg(feature = "balance")]
pub mod balance;
#[cfg(feature = "chunk")]
pub mod chunk;
#[cfg(any(
    feature = "access_log",
    feature = "deadline",
    feature = "metrics",
    feature = "rate-limit"
))]
#[allow(dead_code)]
mod clock;
#[cfg(feature = "concurrency")]
pub mod concurrency;
#[cfg(feature = "correlate")]
pub mod correlate;
#[cfg(feature = "credentials")]
pub mod credentials;
#[cfg(feature = "deadline")]
pub mod deadline;
#[cfg(any(
    feature = "auth-basic",
    feature = "auth-introspection",
    feature = "auth-jwt",
    feature = "credentials"
))]
mod flight;
#[cfg(feature = "deadline")]
mod grpc_timeout;
#[cfg(feature = "grpc-web")]
pub mod grpc_web;
#[cfg(any(feature = "balance", feature = "concurrency", feature = "rate-limit"))]
pub mod key;
#[cfg(any(feature = "balance", feature = "retry"))]
mod lent;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(any(feature = "access_log", feature = "metrics"))]
pub mod observe;
#[cfg(any(
    feature = "auth",
    feature = "concurrency",
    feature = "credentials",
    feature = "route",
    feature = "swap"
))]
mod oneshot;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
pub mod reject;
#[cfg(any(feature = "balance", feature = "retry"))]
mod repeat;
#[cfg(feature = "rescue")]
pub mod rescue;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "route")]
pub mod route;
#[cfg(all(test, feature = "full"))]
mod stack_tests;
#[cfg(feature = "swap")]
pub mod swap;
#[cfg(feature = "target")]
pub mod target;
#[cfg(all(test, feature = "full"))]
mod test_session;
#[cfg(all(test, feature = "full"))]
mod test_util;
#[cfg(all(test, feature = "full"))]
mod tonic_tests;
#[cfg(feature = "trace-id")]
pub mod trace;
mod trace_context;
#[cfg(feature = "trace-id")]
pub mod trace_id;
#[cfg(feature = "upgrade")]
pub mod upgrade;

pub use crate::trace_context::{SpanId, TraceContext, TraceId};
