//! A whole tunnel in one process, for tests: no ports, and time that stands still until somebody waits.
//!
//! A [`Tunnel`] has a gateway, the stack of layers that is to be tested, and agents with whatever they serve; bytes go through
//! `tokio::io::duplex`, and everything else is what runs in production: gRPC, lanes, credit, heartbeats, reconnects. Under
//! `#[tokio::test(start_paused = true)]` a heartbeat that is missed for 20 s costs no time, and every run is alike.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tunnel_layers::target::GroupExt as _;
//! use tunnel_transport::testing::Tunnel;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let app = Router::new().route("/", get(async || "hello"));
//! let tunnel = Tunnel::builder()
//!     .agent("demo", app)
//!     .start(|gateway| gateway.group("demo".parse().expect("a name")))
//!     .await;
//!
//! let mut client = tunnel.http1().await;
//! assert_eq!(client.get("/").await, (http::StatusCode::OK, "hello".to_owned()));
//! tunnel.idle().await;
//! # }
//! ```
//!
//! # Faults
//!
//! | what befalls | how |
//! | --- | --- |
//! | the link is slow, silent, broken, down | [`Link::delay`], [`freeze`](Link::freeze) and [`thaw`](Link::thaw), [`cut`](Link::cut), [`down`](Link::down) and [`up`](Link::up) |
//! | a lane or a session is lost | [`TestAgent::lose_lane`], [`TestAgent::drop_session`] |
//! | an agent is killed, stops, comes again | [`TestAgent::kill`], [`stop`](TestAgent::stop), [`restart`](TestAgent::restart) |
//! | an agent refuses | serve [`Refusing`] |
//! | somebody reads or sends slowly | [`Slowly`] around a body |
//! | the gateway drains, crashes, comes again | [`Tunnel::begin_to_stop`], [`Tunnel::restart_gateway`] |
//!
//! Afterwards, [`Tunnel::connected`] waits until every agent is back, and [`Tunnel::idle`] until nothing is left of any exchange.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use http::StatusCode;
//! use tunnel_layers::target::GroupExt as _;
//! use tunnel_transport::testing::{Refusing, Tunnel};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mut tunnel = Tunnel::builder()
//!     .agent("demo", Router::new().route("/", get(async || "hello")))
//!     .agent("demo", Refusing)
//!     .faults(|link| link.delay(Duration::from_millis(50)))
//!     .start(|gateway| gateway.group("demo".parse().expect("a name")))
//!     .await;
//! let mut client = tunnel.http2().await;
//!
//! // Whoever is asked first, the other one answers.
//! let start = tokio::time::Instant::now();
//! assert_eq!(client.get("/").await.0, StatusCode::OK);
//! assert!(start.elapsed() >= Duration::from_millis(100), "there and back");
//!
//! // Silence is noticed in 20 s, and the agent dials again.
//! tunnel.agent("demo-1").link().freeze();
//! tokio::time::sleep(Duration::from_secs(30)).await;
//! assert_eq!(client.get("/").await.0, StatusCode::SERVICE_UNAVAILABLE, "only the other one is there, and it refuses");
//! tunnel.agent("demo-1").link().thaw();
//! tunnel.connected().await;
//! assert_eq!(client.get("/").await.0, StatusCode::OK);
//!
//! tunnel.restart_gateway().await;
//! tunnel.connected().await;
//! assert_eq!(tunnel.http1().await.get("/").await.0, StatusCode::OK);
//! tunnel.idle().await;
//! # }
//! ```
//!
//! # Without the port
//!
//! Layers can be asked without HTTP on the way as well: make the same stack once more around [`Tunnel::gateway`], and call it with
//! requests of your own.
//!
//! # Time
//!
//! What runs beside the runtime (password checks, files) does not stand still with it. The delays with which agents dial again are
//! random, as in production, but at most 50 ms.

mod agent;
mod builder;
mod client;
mod link;
mod parts;
mod pipe;
mod tunnel;
mod wait;
mod wire;

pub use self::{
    agent::TestAgent,
    builder::TunnelBuilder,
    client::{Client, DEFAULT_HOST, ResponseFuture},
    link::Link,
    parts::{Refusing, Slowly},
    pipe::{DEFAULT_BUFFER, PipeListener, Port},
    tunnel::{DEFAULT_PEER, Tunnel},
    wait::{LIMIT, until, within_limit},
};

#[cfg(test)]
mod tests;
