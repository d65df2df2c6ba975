//! The gateway's HTTP edge: a hyper server for HTTP/1.1 and HTTP/2 on one port, with TLS or without, and with bounds on
//! everything that an outside client may do.
//!
//! It serves any tower service of `http::Request<`[`RequestBody`]`>`, so an axum `Router` fits as it is. It gives that
//! service the right windows and RFC 8441 (`:protocol`), which `axum::serve` cannot set.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tunnel_transport::{entry::{Entry, RequestBody}, net};
//!
//! # #[derive(Clone)]
//! # struct App;
//! # impl tower_service::Service<http::Request<RequestBody>> for App {
//! #     type Response = http::Response<Full<Bytes>>;
//! #     type Error = std::convert::Infallible;
//! #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
//! #         std::task::Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, _: http::Request<RequestBody>) -> Self::Future {
//! #         std::future::ready(Ok(http::Response::default()))
//! #     }
//! # }
//! # let (app, stop) = (App, std::future::pending());
//! let listener = net::bind(([0, 0, 0, 0], 8080).into(), net::DEFAULT_BACKLOG)?;
//! Entry::new().serve(listener, app).with_graceful_shutdown(stop).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - The request's extensions hold a [`PeerInfo`](tunnel_core::PeerInfo) with the socket's address, beside what
//!   [`Entry::extension`] puts there, and those of a request that asks for an upgrade, or is a CONNECT, a
//!   [`Stopping`](tunnel_core::upgrade::Stopping) that begins with the graceful shutdown.
//! - A body that fails after the head never looks complete: HTTP/2 resets the stream, a chunked or counted body of
//!   HTTP/1.1 ends early, and where the end of the connection would mean the end of the body (HTTP/1.0), it ends with RST.
//! - A request body that the client cuts short fails, with whatever code it resets its stream ([`RequestBody`]).
//! - `100 Continue` goes out when the request body is first polled, so an answer that does not read it comes without.
//! - On HTTP/1.1 a client's FIN means that it left: the exchange is dropped.
//! - An HTTP/1.1 connection closes after any answer but 101 to a request that asks for an upgrade, so that what the client
//!   has sent behind it never becomes a request.
//! - An upgraded stream counts as a connection until it is dropped, and is cut with RST when the drain's deadline passes. One
//!   that is [`Relayed`](tunnel_core::upgrade::Relayed) ends with RST whenever it is dropped without having been shut down.
//! - An error of the service closes the connection (HTTP/1.1) or resets the stream (HTTP/2); nobody invents a 500.

mod activity;
mod addresses;
mod body;
mod codec;
mod config;
mod connection;
mod executor;
mod idle;
mod io;
mod request;
#[cfg(feature = "tls")]
mod secure;
#[cfg(not(feature = "tls"))]
#[path = "plain.rs"]
mod secure;
mod serve;
mod service;
mod shared;
#[cfg(test)]
mod tests;
mod timer;
mod upgrade;
mod woken;

pub(crate) use self::secure::Certificate;
pub use self::{
    config::{DEFAULT_WAITING_RESETS, DEFAULT_WRONG_RESETS, Entry},
    request::RequestBody,
    serve::{Serve, ServeFuture},
};
