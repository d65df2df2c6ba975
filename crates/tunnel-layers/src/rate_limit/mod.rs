//! Lets so many requests through in a time.
//!
//! [`RateLimitLayer`] counts requests by a [key](crate::key): all together, or each address, principal, route, group, header
//! value or whatever a closure says for itself. Each key has a bucket that holds a burst and fills evenly (GCRA); a request
//! takes one place out of it, and one that finds none is answered 429, or RESOURCE_EXHAUSTED, with the time after which it is
//! worth trying again (`Retry-After`, `google.rpc.RetryInfo`). Nothing waits here.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::{key::ByHeader, rate_limit::RateLimitLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::per_second(10).burst(1).key(ByHeader::new(http::header::AUTHORIZATION)))
//!     .service(service_fn(|_: Request<String>| async { Ok::<_, Infallible>(Response::new(String::new())) }));
//!
//! let call = |token: &str| {
//!     let request = Request::builder().header("host", "example.com").header("authorization", token);
//!     service.clone().oneshot(request.body(String::new()).unwrap())
//! };
//! assert_eq!(call("a").await.unwrap().status(), 200);
//! let refused = call("a").await.unwrap();
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["retry-after"], "1");
//! assert_eq!(refused.headers()["ratelimit-policy"], "\"default\";q=10;w=1");
//! assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=1");
//!
//! // Others are not concerned, and a place comes back each 100 ms.
//! assert_eq!(call("b").await.unwrap().status(), 200);
//! tokio::time::advance(Duration::from_millis(100)).await;
//! assert_eq!(call("a").await.unwrap().status(), 200);
//! # }
//! ```
//!
//! # Who shares what
//!
//! The state is made with the layer, and shared by all services that it makes and by their clones. So one rate holds for an
//! axum `Router`, whatever connections its clones serve.
//!
//! A rule can set a rate of its own for this layer, by the layer's [name](RateLimitLayer::name), or none
//! ([`Limit::Unlimited`](tunnel_core::Limit)): see [`Limits`](tunnel_core::Limits). Its requests are then counted for the rule
//! alone. A stack may have several of these layers, each with its own name and key.
//!
//! # What is told
//!
//! A refusal has the fields of draft-ietf-httpapi-ratelimit-headers, and with [`RateLimitLayer::tell_always`] every response has
//! them: `RateLimit-Policy` names the requests (`q`) and the seconds (`w`) of the rate, and `RateLimit` how many requests may
//! follow at once (`r`) and in how many seconds all of them are back (`t`; of a refusal, the seconds of `Retry-After`). They
//! stand beside those that other layers and the service behind have set.
//!
//! # How much is kept
//!
//! For each key 24 bytes and the map's own, for at most [`RateLimitLayer::max_keys`] keys. When a new key finds the table full, keys
//! whose bucket is full again are removed first, since they are as good as unknown; that search is made at most once a
//! second for each sixteenth of the table, so that a flood of new keys cannot make it the work of every request. If there is
//! still no place, the key shares one bucket of the same rate with all others that found none. So callers that are known keep
//! what they have, the memory is bounded, and who comes with ever new keys gets no more than one caller would. (To drop keys
//! that are in use would give whoever has enough keys a full bucket each time.)
//!
//! # Order
//!
//! Inside [`RouteLayer`](crate::route), which knows the rule, and inside authentication, so that what it refuses costs no
//! tokens; outside [`ConcurrencyLayer`](crate::concurrency), so that what is refused here waits for no place there.

mod fields;
pub mod future;
mod layer;
mod limiter;
mod limiters;
mod service;
mod table;

pub use self::{layer::RateLimitLayer, service::RateLimit, table::DEFAULT_MAX_KEYS};
pub use tunnel_core::limits::Rate;

#[cfg(all(test, feature = "full"))]
mod tests;
