//! The HTTP edge behind an agent, or of a gateway itself: requests go to an upstream of one or several servers, over connections
//! that are kept and used again.
//!
//! [`Upstream`] is a tower service of `http::Request<B>` for every body of [`Bytes`](bytes::Bytes), so it stands wherever
//! an app could: `agent.serve(Upstream::http1("http://127.0.0.1:3000")?)`.
//!
//! ```
//! use std::time::Duration;
//! use tunnel_transport::upstream::{Upstream, UpstreamProtocol};
//!
//! let upstream = Upstream::builder("http://127.0.0.1:3000")
//!     .protocol(UpstreamProtocol::H2c)
//!     .dial_timeout(Duration::from_secs(2))
//!     .build()?;
//! # let _ = upstream;
//!
//! let error = Upstream::http1("127.0.0.1:3000").unwrap_err();
//! assert!(error.to_string().contains("write http://127.0.0.1:3000"));
//! # Ok::<(), tunnel_transport::upstream::InvalidUpstream>(())
//! ```
//!
//! With `https` the upstream's certificate is verified, and HTTP/2 is spoken if the upstream chooses it:
//! [`UpstreamBuilder::tls`] and [`UpstreamProtocol`] say what can be set.
//!
//! # Several endpoints
//!
//! An upstream may have [several endpoints](Upstream::balanced), each with a weight, and every address of a name may be
//! [one](UpstreamBuilder::resolve_every). A [policy](UpstreamBuilder::policy) of [`tunnel_core::balance`] chooses among those that are
//! [healthy](UpstreamBuilder::health), are not [ejected](UpstreamBuilder::outliers), could be reached
//! [lately](UpstreamBuilder::dial_backoff) and have room, as far as there are any.
//!
//! ```
//! use std::time::Duration;
//! use tunnel_core::balance::RoundRobin;
//! use tunnel_transport::upstream::{HealthCheck, Upstream, UpstreamEndpoint};
//!
//! let upstream = Upstream::balanced([
//!     UpstreamEndpoint::new("http://10.0.0.1:3000"),
//!     UpstreamEndpoint::new("http://10.0.0.2:3000").weight(3),
//!     UpstreamEndpoint::new("http://app.internal:3000"),
//! ])
//! .policy(RoundRobin::new())
//! .resolve_every(Duration::from_secs(30))
//! .health(HealthCheck::http("/healthz")?.interval(Duration::from_secs(5)))
//! .build()?;
//! # let _ = upstream;
//! # Ok::<(), tunnel_transport::upstream::InvalidUpstream>(())
//! ```
//!
//! An operator takes an [endpoint](Upstream::drain_endpoint), or the [whole upstream](Upstream::drain), out of use without losing a
//! request, and [back](Upstream::resume_endpoint) into it; [`Upstream::endpoints`] tells what is open there still.
//!
//! # What it promises
//!
//! - Only the connection's target is chosen here: authority, path, query and end-to-end headers go out as they came.
//! - A request and its response flow at the same time, and each ends by itself.
//! - Dropping the future or the body of the response drops the exchange at the upstream: HTTP/1.1 closes the connection,
//!   HTTP/2 resets the stream. A request body that is still being sent when the response has ended in full goes on.
//! - A response body that breaks off ends with a [`TunnelError`](tunnel_core::TunnelError), never as if complete.
//! - With `Expect: 100-continue` the request body is not polled before an HTTP/1.1 upstream asks for it, or an upstream of
//!   either version has been silent for a second; not at all when it answers with a redirect or an error instead.
//! - Nothing is sent twice: a request goes to another connection, or another endpoint, only if none of it had been written.
//! - Dropping its last clone closes its connections when their exchanges are over; [`Upstream::close`] and
//!   [`Upstream::abort`] do not wait for that.
//!
//! # Upgrades
//!
//! A request with an [`UpgradeRequest`](tunnel_core::admit::UpgradeRequest) in its extensions, such as every admitted one that asks for
//! WebSocket, is carried out by the contract of [`tunnel_core::upgrade`]:
//!
//! - Over HTTP/1.1 it gets a connection of its own, which is dialled for it and never used again, whatever the answer is. It
//!   counts against [`max_connections`](UpstreamBuilder::max_connections) until both directions are over.
//! - Over HTTP/2 it becomes an extended CONNECT (RFC 8441), if the upstream's SETTINGS allow it, and takes one stream's place
//!   for as long. A 200 comes out as the 101 that it stands for.
//! - Each direction ends by itself. If either fails, or the body of the 101 is dropped before its end, the connection is reset
//!   (HTTP/2: the stream; hyper sends END_STREAM before, and shows a reset with CANCEL as an end).

mod allow;
mod bare;
mod body;
mod builder;
mod cluster;
mod dial;
mod drain;
mod endpoint;
mod error;
mod failed;
mod failures;
mod future;
mod gate;
mod h1;
mod h2c;
mod hash_key;
mod health;
mod hear_out;
mod idle;
mod life;
mod line;
mod lone;
mod marks;
mod named;
#[cfg(feature = "tls")]
mod negotiated;
mod node;
mod offer;
mod place;
mod request;
mod resolve;
mod service;
mod state;
mod target;
mod tasks;
mod upgrade;
mod upload;

#[cfg(test)]
mod tests;

pub use self::{
    allow::{AllowList, AllowedUpstream, InvalidAllowed},
    body::UpstreamBody,
    builder::{UpstreamBuilder, UpstreamProtocol},
    endpoint::UpstreamEndpoint,
    future::ResponseFuture,
    hash_key::HashKey,
    health::HealthCheck,
    named::NamedUpstreams,
    service::Upstream,
    state::EndpointState,
    target::InvalidUpstream,
};
