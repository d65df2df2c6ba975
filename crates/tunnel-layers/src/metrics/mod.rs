//! Measures exchanges until they end.
//!
//! [`MetricsLayer`] counts how many exchanges there are, how they end, how long they take and how many bytes go which way, for each
//! rule, group and agent, and for each protocol. It speaks to whatever recorder of the crate `metrics` is installed; without
//! one, only its [`Overview`] counts, if it has one. What an exchange is and when it ends: see [`observe`](crate::observe).
//!
//! | metric | kind | labels beside `role` | what |
//! | --- | --- | --- | --- |
//! | `tunnel_exchanges_total` | counter | rule, group, upstream, protocol, status | exchanges that have ended |
//! | `tunnel_exchange_failures_total` | counter | rule, group, upstream, protocol, cause | those that failed in the tunnel, or were given up |
//! | `tunnel_exchanges_open` | gauge | rule, group, upstream, protocol | those that have not ended |
//! | `tunnel_exchange_received_bytes_total` | counter | rule, group, upstream, protocol | bytes from clients |
//! | `tunnel_exchange_sent_bytes_total` | counter | rule, group, upstream, protocol | bytes to clients |
//! | `tunnel_exchange_duration_seconds` | histogram | rule, group, upstream, protocol | from the request's head to the end |
//! | `tunnel_exchange_first_byte_seconds` | histogram | rule, group, upstream, protocol | from the request's head to the response's |
//! | `tunnel_retries_total` | counter | | how often requests were sent into the tunnel, or to an upstream, once more |
//! | `tunnel_limits_hit_total` | counter | limit | exchanges that were refused or ended by a limit |
//! | `tunnel_ejections_total` | counter | of (without `role`) | how often an agent (or an upstream's endpoint) was ejected |
//! | `tunnel_agent_exchanges_total` | counter | agent, outcome | exchanges of an agent that have ended, or went to another one |
//! | `tunnel_agent_exchanges_open` | gauge | agent | those that have not ended |
//! | `tunnel_agent_received_bytes_total` | counter | agent | bytes from clients |
//! | `tunnel_agent_sent_bytes_total` | counter | agent | bytes to clients |
//! | `tunnel_agent_exchange_duration_seconds` | histogram | agent | from the request's head to the end |
//! | `tunnel_agent_exchange_first_byte_seconds` | histogram | agent | from the request's head to the response's |
//!
//! # Labels
//!
//! No label is chosen by those who send requests: there are no paths, hosts, methods or principals among them.
//!
//! * `role`: `gateway`, `agent`, or what the layer was [told](MetricsLayer::role);
//! * `rule`, `group`, `upstream`: names out of the configuration, as [`RouteLayer`](crate::route) found them; empty where there are
//!   none. At most [`DEFAULT_MAX_RULES`] sets of them;
//! * `protocol`: `http`, `grpc`, `grpc-web`, `websocket`, `upgrade`;
//! * `status`: `1xx` to `5xx`, the name of the `grpc-status` for calls that have one (a number that nobody knows is `UNKNOWN`), or `none`
//!   where there was no answer;
//! * `cause`: a [word](tunnel_core::Cause::word) of `x-tunnel-error`; `canceled` for what was given up;
//! * `agent`: the name of the agent that had the exchange. Agents name themselves, so only the first [`DEFAULT_MAX_AGENTS`] names are
//!   labels, and all others are `other`;
//! * `limit`: `rate`, `concurrency`, `deadline`, `body-idle`;
//! * `outcome`: `ok`, `client-error`, `server-error`, `failed` (in the tunnel), `canceled`, `retried` (with another agent).
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::metrics::{MetricsLayer, Overview};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tunnel_core::BoxError> {
//! let overview = Overview::new();
//! let service = ServiceBuilder::new()
//!     .layer(MetricsLayer::new().overview(overview.clone()))
//!     .service(service_fn(|_: Request<_>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(String::from("hello")))
//!     }));
//!
//! let answer = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(overview.snapshot()[0].open, 1);
//! # use http_body_util::BodyExt;
//! answer.into_body().collect().await?;
//! let row = overview.snapshot().remove(0);
//! assert_eq!((row.requests, row.open, row.bytes_out), (1, 0, 5));
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! Outermost, so that it sees every answer in its final form, and requests that are refused too. It changes nothing, and admits
//! nothing. What inner layers find out reaches it through a [`Record`](tunnel_core::Record).
//!
//! # Cost
//!
//! One allocation for an exchange, since what is kept of it is used again for the next ones, and for each of its rule and its agent what
//! the recorder does with a few counts and two times (`benches/observe.rs`); handles are made once for each set of labels, and those of exchanges like the last ones are found without a
//! look at any name. The recorder has to be installed before the first exchange, since handles are never made anew.
//!
//! An [`Overview`] counts all of it too, each set of labels in one place of the memory and without locked operations. Where the endpoint
//! asks it for its [families](Overview::families), the recorder need not be [told](MetricsLayer::recorded) of exchanges at all, which
//! is the fastest way.
//!
//! Where exchanges are logged as well, `ObserveLayer` does both for the price of one; where nothing is
//! measured, the layer is best left out, since every layer that wraps bodies moves requests and responses once more.

mod cell;
mod common;
mod families;
mod layer;
mod meter;
mod names;
mod overview;
mod recent;
mod series;
mod service;
mod status;
mod table;
mod times;

pub use self::{
    families::{Family, Sample},
    layer::{DEFAULT_MAX_AGENTS, DEFAULT_MAX_RULES, MetricsLayer},
    names::describe,
    overview::{AgentRow, Counts, LATENCY_BUCKETS, Overview, Row},
    service::Metrics,
    times::{AGENT_TIME_BOUNDS, TIME_BOUNDS},
};

pub(crate) use self::meter::{Meter, Meters};
#[cfg(feature = "balance")]
pub(crate) use self::names::ejected;

#[cfg(all(test, feature = "full"))]
mod tests;
