//! A whole service that can be replaced while it serves.
//!
//! [`Swap`] stands in the place of a stack, for instance the one that a program has built from its configuration. When that changes,
//! the program builds another stack of the same type beside the first, and [`SwapHandle::replace`]s it: every request is handled to its
//! end by the stack that it began with, so that rules, credentials and limits of one request are always those of one configuration.
//! What streams on, such as a WebSocket, stays with the old stack, which goes with the last of its requests, and of the clones of
//! [`Swap`] that have called it and not yet its successor.
//!
//! What the new stack shall keep of the old one (the counts of a limiter) it has to share: clones of a layer have the same state.
//!
//! ```
//! use std::convert::Infallible;
//! use tower::{ServiceExt, service_fn};
//! use tunnel_layers::swap::Swap;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let answering = |text: &'static str| service_fn(move |(): ()| async move { Ok::<_, Infallible>(text) });
//! let (service, handle) = Swap::new(answering("old"));
//! assert_eq!(service.clone().oneshot(()).await, Ok("old"));
//! handle.replace(answering("new"));
//! assert_eq!(service.oneshot(()).await, Ok("new"));
//! # }
//! ```
//!
//! It is always ready, and waits in its future until the service of the moment is.

pub mod future;
mod service;

pub use self::service::{Swap, SwapHandle};

#[cfg(all(test, feature = "full"))]
mod tests;
