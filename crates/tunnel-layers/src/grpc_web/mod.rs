//! Lets browsers call gRPC services (gRPC-Web, `PROTOCOL-WEB.md` of the gRPC project).
//!
//! [`GrpcWebLayer`] translates a POST whose content type is one of `application/grpc-web` and `application/grpc-web-text`, with
//! or without a format such as `+proto`. Inside it is gRPC: HTTP/2, the content type `application/grpc` with the same format,
//! `te: trailers`, and no base64; so rules, deadlines and agents see one kind of call. Its response gets the trailers at the
//! end of its body, and is written as `accept` says, else like the request. Headers pass as they come, both ways.
//!
//! Everything else passes untouched: plain HTTP of any version, upgrades, gRPC. So does a response to such a call that is not
//! gRPC, for example the page of a proxy: clients make a status of gRPC of that of HTTP.
//!
//! A failure of the tunnel before the head stays trailers-only, with the status among the headers, and one after it ends the
//! body with trailers.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::grpc_web::{Cors, GrpcWebLayer, WebBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tunnel_core::BoxError> {
//! # use http_body_util::BodyExt;
//! let service = ServiceBuilder::new()
//!     .layer(GrpcWebLayer::new().cors(Cors::origins(["https://app.example.com"])?))
//!     .service(service_fn(|request: Request<WebBody<String>>| async move {
//!         assert_eq!(request.headers()["content-type"], "application/grpc");
//!         let message = request.into_body().collect().await?.to_bytes();
//!         let response = Response::builder().header("content-type", "application/grpc");
//!         Ok::<_, tunnel_core::BoxError>(response.body(http_body_util::Full::new(message))?)
//!     }));
//!
//! let call = Request::post("/echo.Echo/Say")
//!     .header("host", "example.com")
//!     .header("origin", "https://app.example.com")
//!     .header("content-type", "application/grpc-web-text")
//!     .body("AAAAAAJoaQ==".to_owned())?;
//! let answer = service.clone().oneshot(call).await?;
//! assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.com");
//! assert_eq!(answer.headers()["content-type"], "application/grpc-web-text+proto");
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "AAAAAAJoaQ==");
//!
//! let preflight = Request::options("/echo.Echo/Say")
//!     .header("origin", "https://app.example.com")
//!     .header("access-control-request-method", "POST")
//!     .header("access-control-request-headers", "content-type,x-grpc-web")
//!     .body(String::new())?;
//! assert_eq!(service.oneshot(preflight).await?.status(), 204);
//! # Ok(())
//! # }
//! ```
//!
//! # Pages of other sites
//!
//! A browser lets a page call another site only if that site says so. By default the layer says nothing, so that only pages of
//! the same site make calls. With [`GrpcWebLayer::cors`] it tells the origins of [`Cors`] so, and answers their preflights:
//! `OPTIONS` with an `origin`, `access-control-request-method: POST`, and `x-grpc-web` in `access-control-request-headers`, a
//! header that gRPC-Web clients send and nobody else does. Other preflights belong to the app behind, and pass. This protects
//! visitors of pages; it keeps out no client that is not a browser.
//!
//! # Limits
//!
//! The text form of a request is read as one piece of base64, padded at its end only, as clients write unary and server
//! streaming calls. One that is malformed is an error of the request's body, with the cause
//! [`Malformed`](tunnel_core::Cause::Malformed).
//!
//! # Order
//!
//! Outside all layers that look at calls, [`RescueLayer`](crate::rescue) too, whose trailers have to be translated; inside
//! [`TraceIdLayer`](crate::trace_id), whose header the page then gets to read.

mod answering;
mod body;
mod cors;
mod failure;
mod format;
pub mod future;
mod layer;
mod service;
mod translate;

pub use self::{
    body::WebBody,
    cors::{Cors, OriginError},
    layer::GrpcWebLayer,
    service::GrpcWeb,
};

#[cfg(all(test, feature = "full"))]
mod tests;
