//! What [`metrics`](crate::metrics) and [`access_log`](crate::access_log) have in common: an exchange that is watched from its head to
//! its end, whatever that end is.
//!
//! An exchange ends
//!
//! * when the response's body has ended, or its trailers have come,
//! * when the call or the body fails,
//! * when the future or the body is dropped before (the client has left, or somebody further out has given up),
//! * or, if it was upgraded, with the stream: where [`UpgradeLayer`](crate::upgrade) relays it, or an agent serves it in this process,
//!   with the last clone of its [`Lifetime`](tunnel_core::Lifetime); where the bodies are the stream, when both have ended.
//!
//! Whoever wants both takes `ObserveLayer`, in which they share what they know of an exchange.
//!
//! A handler of axum that upgrades a connection of `axum::serve` takes it out of sight: there the exchange ends with the 101.

mod body;
mod exchange;
pub mod future;
mod guard;
#[cfg(all(feature = "access_log", feature = "metrics"))]
mod layer;
mod spare;
mod watchers;
mod wire;

pub use self::{
    body::{RequestBody, ResponseBody},
    future::ResponseFuture,
    wire::Wire,
};

#[cfg(all(feature = "access_log", feature = "metrics"))]
pub use self::layer::{Observe, ObserveLayer};
pub(crate) use self::{
    exchange::{Ended, failure},
    guard::{Guard, Half, begin},
    watchers::Asked,
};
