//! Where requests that ask for another protocol leave the path of plain HTTP.
//!
//! The layer stands in the stack so that everything outside it sees one kind of exchange. An `Upgrade` of HTTP/1.1 is
//! optional (RFC 9110, section 7.8): such a request goes on as plain HTTP, and the far end answers it as it likes. An
//! extended CONNECT (RFC 8441) cannot go on as anything else: it is refused with 501. Every request gets its
//! [`Lifetime`](tunnel_core::Lifetime) here, if no layer further out has given it one.
//!
//! # Order
//!
//! Inside [`BalanceLayer`](crate::balance::BalanceLayer), outside [`ChunkLayer`](crate::chunk::ChunkLayer).
//!
//! # Example
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{Lifetime, admit::ExtendedConnect};
//! use tunnel_layers::upgrade::UpgradeLayer;
//!
//! let service = ServiceBuilder::new().layer(UpgradeLayer::new()).service(service_fn(|request: Request<String>| async move {
//!     assert!(request.extensions().get::<Lifetime>().is_some());
//!     Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
//! }));
//!
//! let plain = Request::builder().uri("/").header("host", "example.com").body("hello".to_owned()).unwrap();
//! assert_eq!(service.clone().oneshot(plain).await.unwrap().status(), 200);
//!
//! let mut connect = Request::builder().method("CONNECT").uri("http://example.com/chat").header("host", "example.com").body(String::new()).unwrap();
//! connect.extensions_mut().insert(ExtendedConnect { protocol: http::HeaderValue::from_static("websocket") });
//! assert_eq!(service.oneshot(connect).await.unwrap().status(), 501);
//! # });
//! ```

mod layer;
mod service;

pub use self::{layer::UpgradeLayer, service::Upgrade};
pub use crate::gate::ResponseFuture;
