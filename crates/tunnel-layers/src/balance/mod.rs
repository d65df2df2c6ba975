//! Chooses a healthy agent of the group that the request goes to.
//!
//! The group stands in the request's [`Routed`](tunnel_core::Routed) extension, where
//! [`RouteLayer`](crate::route::RouteLayer), or a layer of yours, has put it; the chosen
//! [`Session`](tunnel_core::Session) goes into the extensions too, so no layer below looks anything up. Sessions that are
//! draining, have no lane, or have no room are passed over. Without a session left the request is answered at once.
//!
//! A request of which provably nothing left this process, or that the agent refused before it handed it to anybody, is
//! sent to another session of the group: at most [`MAX_RETRIES`] more, and none twice. The body is lent for that: it is
//! taken back, and what had been read of it (at most [`MAX_REPLAY_BYTES`]) is played again. Nothing else is ever sent twice.
//!
//! # Order
//!
//! Inside everything that decides whether and where a request goes, outside
//! [`ChunkLayer`](crate::chunk::ChunkLayer).
//!
//! # Example
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{Agents, GroupName, Member, Routed, Target, TunnelError};
//! use tunnel_layers::balance::{BalanceLayer, Lent, RoundRobin};
//!
//! #[derive(Clone, Debug)]
//! struct Nobody;
//!
//! impl Agents for Nobody {
//!     fn members(&self, _: &GroupName) -> Arc<[Member]> {
//!         Arc::new([])
//!     }
//! }
//!
//! let service = ServiceBuilder::new()
//!     .layer(BalanceLayer::new(Nobody, RoundRobin::new()))
//!     .service(service_fn(|_: Request<Lent<String>>| async { Ok::<_, TunnelError>(Response::new(String::new())) }));
//!
//! let mut request = Request::builder().uri("/").header("host", "example.com").body(String::new()).unwrap();
//! let target = Target::Group("billing".parse().unwrap());
//! request.extensions_mut().insert(Routed::new("billing", target));
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.headers()["x-tunnel-error"], "no-agent");
//! # });
//! ```

mod balancing;
mod body;
mod choose;
mod future;
mod layer;
mod line;
mod retry;
mod service;
mod standing;
#[cfg(all(test, feature = "full"))]
mod tests;
mod watch;

pub use tunnel_core::balance::{
    AnyPick, Candidate, Choice, ConsistentHash, LeastPending, Outliers, PeakEwma, Pick, PickFirst,
    RoundRobin, WeightedRandom, ZonePreference,
};

pub use self::{
    balancing::{Balancing, DEFAULT_MAX_WAITING},
    body::{Lent, MAX_REPLAY_BYTES},
    future::{MAX_RETRIES, ResponseFuture},
    layer::BalanceLayer,
    service::Balance,
};
