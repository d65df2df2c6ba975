//! Where requests that ask for another protocol leave the path of plain HTTP.
//!
//! [`UpgradeLayer`] carries out upgrades: WebSocket and whatever else begins with `Upgrade` on HTTP/1.1, or with an extended
//! CONNECT on HTTP/2 (RFC 8441). Outside it stands a server of hyper, be it an entry of the tunnel or `axum::serve`, which
//! leaves its connection in the request's extensions (`hyper::upgrade::OnUpgrade`). Inside it, an upgrade is what the
//! [core's contract](tunnel_core::upgrade) says: a GET and a 101 whose two bodies are the two directions of the stream. So it
//! works around the tunnel, around an upstream client, and around anything else that keeps the contract.
//!
//! # The handshake
//!
//! | the client asks | what goes on | a 101 becomes |
//! | --- | --- | --- |
//! | `Upgrade` on HTTP/1.1 | the request, with the client's `Sec-WebSocket-Key` | 101 |
//! | CONNECT with `:protocol` on HTTP/2 | a GET, for `websocket` with a key of our own | 200, without what belongs to HTTP/1.1 |
//! | WebSocket by another method than GET, several protocols, `h2c` | plain HTTP: the wish is ignored | 502 |
//!
//! Subprotocols and extensions are between the client and the server. Of a 101, the layer checks that it switches to what was
//! asked for and, for WebSocket, that its `Sec-WebSocket-Accept` belongs to the key; else the client gets 502 (`bad-upgrade`).
//! Any other answer is the client's as it is, with `connection: close` on HTTP/1.1, because bytes that came behind the request
//! were meant for the stream and must not be taken for another request. To an extended CONNECT, a status of 2xx would say that
//! it was granted: there it becomes a 502. A request for an upgrade that has a body is answered 400; an extended CONNECT on a
//! server that cannot upgrade, 501.
//!
//! # The stream
//!
//! When the client has the 101, a task carries what the server sends, and the request's body is what the client sends; see
//! [`Relay`](tunnel_core::upgrade::Relay) for how the two end, and for the codes of a Close that the tunnel makes. What stands in
//! the request's [`Lifetime`](tunnel_core::Lifetime) is kept until both have ended. A server that puts a
//! [`Stopping`](tunnel_core::upgrade::Stopping) into its requests' extensions is heard.
//!
//! Limits of time are settings, and off unless set: [`UpgradeLayer::idle_timeout`] and [`UpgradeLayer::ping_interval`]. The stream
//! ends at the [`Deadline`](tunnel_core::route::Deadline) that [`DeadlineLayer`](crate::deadline) puts into the request's
//! extensions, and at the [`Expiry`](tunnel_core::route::Expiry) of [`AuthLayer`](crate::auth) with a Close of 1008.
//!
//! # Order
//!
//! Inside [`BalanceLayer`](crate::balance::BalanceLayer), whose session has the runtime for the tasks, and which may try another
//! session; outside [`ChunkLayer`](crate::chunk::ChunkLayer). Without a session, it needs [`UpgradeLayer::runtime`].
//!
//! # Example
//!
//! A service that gives back what it is sent, without a tunnel:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response, StatusCode, header};
//! use hyper_util::{rt::TokioIo, service::TowerToHyperService};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tower::{ServiceBuilder, service_fn};
//! use tunnel_core::{admit::UpgradeRequest, upgrade::Switched};
//! use tunnel_layers::upgrade::{UpgradeBody, UpgradeLayer};
//! # use std::{sync::Arc, time::Instant};
//! # use tunnel_core::{BoxTask, RequestId, Runtime};
//! # #[derive(Debug)]
//! # struct Tokio;
//! # impl Runtime for Tokio {
//! #     fn spawn(&self, task: BoxTask) { tokio::spawn(task); }
//! #     fn now(&self) -> Instant { tokio::time::Instant::now().into_std() }
//! #     fn sleep_until(&self, at: Instant) -> BoxTask { Box::pin(tokio::time::sleep_until(at.into())) }
//! #     fn request_id(&self, _: Instant) -> RequestId { RequestId::from_parts(0, rand::random()) }
//! #     fn random(&self) -> [u8; 16] { rand::random() }
//! # }
//!
//! async fn echo<B>(request: Request<UpgradeBody<B>>) -> Result<Response<UpgradeBody<B>>, Infallible> {
//!     let asked = request.extensions().get::<UpgradeRequest>().expect("an upgrade").protocol.clone();
//!     let mut response = Response::new(request.into_body());
//!     *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
//!     response.headers_mut().insert(header::UPGRADE, asked);
//!     response.extensions_mut().insert(Switched);
//!     Ok(response)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(UpgradeLayer::new().runtime(Arc::new(Tokio)))
//!     .service(service_fn(echo::<hyper::body::Incoming>));
//! let (mut client, server) = tokio::io::duplex(1024);
//! tokio::spawn(
//!     hyper::server::conn::http1::Builder::new()
//!         .serve_connection(TokioIo::new(server), TowerToHyperService::new(service))
//!         .with_upgrades(),
//! );
//!
//! client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello").await?;
//! client.shutdown().await?;
//! let mut all = String::new();
//! client.read_to_string(&mut all).await?;
//! assert!(all.starts_with("HTTP/1.1 101 "));
//! assert!(all.ends_with("\r\n\r\nhello"));
//! # Ok(())
//! # }
//! ```

mod answer;
mod ask;
mod body;
mod counted;
pub mod future;
mod io;
mod layer;
mod service;

pub use self::{body::UpgradeBody, future::ResponseFuture, layer::UpgradeLayer, service::Upgrade};

#[cfg(all(test, feature = "full"))]
mod tests;
