//! Gives each request an id and an entry in its session's pending table, and matches what comes back.
//!
//! The layer holds no map of its own: it opens an exchange of the [`Session`](tunnel_core::Session) that stands in the
//! [`ExchangeRequest`](tunnel_core::ExchangeRequest), keeps its two halves, and hands each message to the service below,
//! the transport, which only writes. The upload goes on while the response streams, whoever polls what: the pump that moves
//! it is polled once in the response's future, and spawned through the session if it is not done then.
//!
//! Dropping the response's future or its body resets the exchange, and the agent drops its work.
//!
//! # Order
//!
//! Innermost but for the transport, directly inside [`ChunkLayer`](crate::chunk::ChunkLayer).
//!
//! # Example
//!
//! ```
//! use tower_layer::Layer;
//! use tower_service::Service;
//! use tunnel_core::{Enqueue, ExchangeRequest, Outgoing, TunnelBody, TunnelError};
//! use tunnel_layers::correlate::CorrelateLayer;
//!
//! // A transport is any service that takes one message at a time.
//! #[derive(Clone)]
//! struct Transport;
//!
//! impl Service<Outgoing> for Transport {
//!     type Response = ();
//!     type Error = TunnelError;
//!     type Future = Enqueue;
//!
//!     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TunnelError>> {
//!         std::task::Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, outgoing: Outgoing) -> Enqueue {
//!         outgoing.enqueue()
//!     }
//! }
//!
//! fn takes_exchanges<S: Service<ExchangeRequest<TunnelBody>>>(_: &S) -> bool {
//!     true
//! }
//!
//! let correlate = CorrelateLayer::new().layer(Transport);
//! assert!(takes_exchanges(&correlate));
//! ```

mod future;
mod layer;
mod service;

pub use self::{future::ResponseFuture, layer::CorrelateLayer, service::Correlate};
