//! Shows credentials with requests that go out.
//!
//! [`CredentialsLayer`] sets `authorization` in every request, in the place of what was there. The value comes from a
//! [`Credentials`] provider: [`FixedCredentials`] never change, [`RefreshingCredentials`] are fetched by a function of yours,
//! and anew before they expire. The provider hears of it when a server refuses them (401, or UNAUTHENTICATED), so that the next
//! request has others.
//!
//! If there are none, the request does not go out, and is answered 503, or UNAVAILABLE.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::credentials::CredentialsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ServiceBuilder::new()
//!     .layer(CredentialsLayer::basic("Aladdin", "open sesame")?)
//!     .service(service_fn(|request: Request<String>| async move {
//!         let shown = request.headers()["authorization"].to_str().unwrap().to_owned();
//!         Ok::<_, Infallible>(Response::new(shown))
//!     }));
//!
//! let answer = client.oneshot(Request::new(String::new())).await?;
//! # use http_body_util::BodyExt;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! Outside a client of HTTP or gRPC that knows one server: whatever goes through it shows the credentials, so it must not
//! follow redirects to others. Inside layers that send a request again. It is always ready, and waits in its future.

pub mod future;
mod layer;
mod provider;
mod refreshing;
mod service;

pub use self::{
    layer::CredentialsLayer,
    provider::{Credentials, FixedCredentials, InvalidCredentials},
    refreshing::{Fetched, MIN_FETCH_INTERVAL, RefreshingCredentials, RefreshingFuture},
    service::WithCredentials,
};

#[cfg(all(test, feature = "full"))]
mod tests;
