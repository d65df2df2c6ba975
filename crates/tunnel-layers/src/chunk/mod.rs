//! Turns HTTP requests into exchanges, and back.
//!
//! Outside this layer everything speaks `http::Request<B>`; inside it, [`ExchangeRequest`](tunnel_core::ExchangeRequest). A
//! body is cut to pieces that fit into one message of the session, without a copy; trailers stay, and nothing is buffered
//! whole.
//!
//! The session comes from the request's extensions, where [`BalanceLayer`](crate::balance::BalanceLayer), or a layer of
//! yours, has put it. A request that no layer has admitted ([`admit`](tunnel_core::admit)) is refused.
//!
//! # Order
//!
//! Directly outside [`CorrelateLayer`](crate::correlate::CorrelateLayer), inside everything else.
//!
//! # Example
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use http::Request;
//! use http_body_util::Empty;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{Cause, ExchangeRequest, ExchangeResponse, TunnelError};
//! use tunnel_layers::chunk::ChunkLayer;
//!
//! // Nobody has chosen a session.
//! let service = ServiceBuilder::new()
//!     .layer(ChunkLayer::new())
//!     .service(service_fn(|_: ExchangeRequest<_>| async { Err::<ExchangeResponse, _>(TunnelError::canceled()) }));
//! let error = service.oneshot(Request::new(Empty::<bytes::Bytes>::new())).await.unwrap_err();
//! assert_eq!(error.cause(), Cause::Internal);
//! assert!(error.message().contains("BalanceLayer"));
//! # });
//! ```

mod future;
mod layer;
mod service;

pub use self::{future::ResponseFuture, layer::ChunkLayer, service::Chunk};
