//! Chooses a healthy agent of the group that the request goes to.
//!
//! The group stands in the request's [`Routed`](tunnel_core::Routed) extension, where
//! [`RouteLayer`](crate::route::RouteLayer), or a layer of yours, has put it; the chosen
//! [`Session`](tunnel_core::Session) goes into the extensions too, so no layer below looks anything up.
//!
//! # Who is chosen
//!
//! Sessions that are draining, have no lane, or have no room are passed over, and suspects while there is somebody else. Among the
//! others a policy of [`tunnel_core::balance`] chooses, and what stands around it: [`Balancing`] has slow start, a preferred
//! zone, ejection of those that fail, and what has to come to the same agent again. Groups and rules may have balancings of their own
//! ([`BalanceLayer::group`], [`BalanceLayer::rule`]).
//!
//! Without a session left the request is answered at once; or, where [`Balancing::wait`] is set and all that is missing is room,
//! it waits in line: first come, first served, one line for each group (and for each host, where only agents that registered it serve).
//!
//! # What is sent again
//!
//! A request of which provably nothing left this process, or that the agent refused before it handed it to anybody, is
//! sent to another session of the group: at most [`MAX_RETRIES`] more, and none twice. The body is lent for that: it is
//! taken back, and what had been read of it (at most [`MAX_REPLAY_BYTES`]) is played again. Alone in its group, a session is not asked twice.
//!
//! What may have been carried out is sent once more only by the [`RetryPolicy`](tunnel_core::RetryPolicy) of its rule: after answers
//! and losses that it names, for its methods, within its budget, before the deadline, and as long as the whole body is there. It goes to
//! somebody else, or, if there is nobody, to the same agent again.
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

pub use crate::lent::{Lent, MAX_REPLAY_BYTES};

pub use self::{
    balancing::{Balancing, DEFAULT_MAX_WAITING},
    future::{MAX_RETRIES, ResponseFuture},
    layer::BalanceLayer,
    service::Balance,
};
