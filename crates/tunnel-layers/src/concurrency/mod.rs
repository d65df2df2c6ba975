//! Lets so many exchanges run at once.
//!
//! [`ConcurrencyLayer`] has [so many](ConcurrencyLayer::max) places. An exchange takes one before its request goes on, and
//! keeps it to its end: until the response's body has ended, failed or was dropped, or until the upgraded stream is over
//! (the place stands in the exchange's [`Lifetime`](tunnel_core::Lifetime), of which whoever carries such a stream keeps a
//! clone). With [`per_key`](ConcurrencyLayer::per_key), an address, a principal, a route, a group or whatever a closure says
//! has no more than its own share of the places.
//!
//! Who finds no place stands in line, first come, first served, for [a short time](ConcurrencyLayer::max_wait). When the
//! time is over, or the line is as long as it may be, the answer is 503, or UNAVAILABLE, with `Retry-After` or
//! `google.rpc.RetryInfo`; nothing of the request has been sent.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::concurrency::ConcurrencyLayer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let layer = ConcurrencyLayer::new().max(1).queue(1).max_wait(Duration::from_millis(500));
//! let service = ServiceBuilder::new()
//!     .layer(layer.clone())
//!     .service(service_fn(|_: Request<String>| async { Ok::<_, Infallible>(Response::new("streamed".to_owned())) }));
//!
//! let call = || service.clone().oneshot(Request::builder().header("host", "example.com").body(String::new()).unwrap());
//! let first = call().await.unwrap();
//! assert_eq!(layer.load().running, 1, "as long as its body is not read");
//!
//! let late = call().await.unwrap();
//! assert_eq!(late.status(), 503);
//! assert_eq!(late.headers()["retry-after"], "1");
//!
//! drop(first);
//! assert_eq!(call().await.unwrap().status(), 200);
//! # }
//! ```
//!
//! # Why a short line, and in order
//!
//! A place is worth something only if whoever gets it still waits for the answer. So the time in line is bounded well below
//! what callers wait, and who leaves gives up its turn at once; then the work that is done is work that somebody wants, and
//! under any load as much gets done as the places allow. To serve the newest first gives shorter times to some, but only by
//! letting others wait for the whole bound in vain, and it wins nothing where the bound is short. A long line would make
//! nothing faster: at full load everybody would stand in it.
//!
//! One key that uses all of its places has a line of its own, [which is short as well](ConcurrencyLayer::queue_of_key); those
//! who wait there hold none of the other places.
//!
//! # Who shares what
//!
//! The state is made with the layer, and shared by all services that it makes and by their clones. A rule can say for this
//! layer, by the layer's [name](ConcurrencyLayer::name), how many exchanges with the same key it may have at once, or that it has
//! no such limit ([`Limit::Unlimited`](tunnel_core::Limit)): see [`Limits`](tunnel_core::Limits). The exchanges are then counted for
//! the rule alone; the places of the whole are always limited.
//!
//! The limit of one agent is not here: it belongs to the [session](tunnel_core::Session), since only the session knows
//! at the moment of choosing, and [`BalanceLayer`](crate::balance) picks sessions that have room.
//!
//! # Order
//!
//! Inside [`RouteLayer`](crate::route), authentication and [`RateLimitLayer`](crate::rate_limit), so that refused requests take no
//! place; outside [`DeadlineLayer`](crate::deadline) or inside, since that counts the time in line as well. It is always ready, as
//! [`RouteLayer`](crate::route) is: a place that was taken when a service became ready, for a call that then is not made, would
//! keep others out.

mod body;
pub mod future;
mod layer;
mod limiter;
mod places;
mod service;
mod state;

pub use self::{
    body::ConcurrencyBody,
    layer::{
        ConcurrencyLayer, DEFAULT_MAX, DEFAULT_MAX_WAIT, DEFAULT_QUEUE, DEFAULT_QUEUE_OF_KEY,
        DEFAULT_RETRY_AFTER, Load,
    },
    service::Concurrency,
};

#[cfg(all(test, feature = "full"))]
mod tests;
