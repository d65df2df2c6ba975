//! The whole stack for typed clients, under one name.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer as _;
use tower_service::Service;
use tunnel_core::{Agents, BoxError, GroupName, Hub, Outgoing, TunnelError, Uplinks};

use super::{TargetLayer, ToTarget};
use crate::{
    balance::{Balance, BalanceLayer, LeastPending},
    chunk::{Chunk, ChunkLayer},
    correlate::{Correlate, CorrelateLayer},
    deadline::{Deadline, DeadlineLayer},
    rescue::{Rescue, RescueLayer},
    upgrade::{Upgrade, UpgradeLayer},
};

/// From the outside in; see the [module](super).
type Stack<A, T> = ToTarget<Rescue<Deadline<Balance<Upgrade<Chunk<Correlate<T>>>, A, LeastPending>>>>;

/// A group of agents as the channel of a generated client, or for requests of your own. Cheap to clone.
///
/// It is the stack that the [module](super) shows. It never fails: failures of the tunnel are responses, for gRPC calls with
/// a status and its details. Dropping the future or the body of a response resets the exchange.
#[derive(Clone)]
pub struct GroupChannel<A, T>(Stack<A, T>);

/// Gives a [`GroupChannel`]; implemented for every [`Hub`], as a gateway is one.
pub trait GroupExt: Hub {
    /// The group with this name, as a service: `BillingClient::new(gateway.group("billing".parse()?))`.
    fn group(&self, name: GroupName) -> GroupChannel<Self::Agents, Self::Transport> {
        GroupChannel::new(name, self.agents(), self.transport())
    }
}

impl<H: Hub> GroupExt for H {}

/// Gives the gateways of an agent as a channel; implemented for every [`Uplinks`], as an agent is one.
pub trait ClientExt: Uplinks {
    /// What the agent's gateways answer to those who are with the agent, as a service: `BillingClient::new(agent.client())`, or a
    /// [`GroupChannel`] for requests of your own, or for a listener beside the agent. The gateway decides by its rules where a
    /// request goes, and by who the agent is whether it goes there.
    ///
    /// It uses the sessions that the agent has while it serves, whichever gateway has the fewest exchanges of it, and waits for none:
    /// without a session, requests are answered 503, or UNAVAILABLE. What provably never left is sent to another gateway.
    /// Requests that name no host get the host [`GATEWAY`].
    ///
    /// # Panics
    ///
    /// Never: [`GATEWAY`] is a name.
    fn client(&self) -> GroupChannel<Self::Sessions, Self::Transport> {
        let name = GATEWAY.parse().expect("a constant that is a name");
        GroupChannel::new(name, self.uplinks(), self.transport())
    }
}

impl<U: Uplinks> ClientExt for U {}

/// The host of requests that [`ClientExt::client`] gets without one, and the id that they have at the agent where that of a rule would stand.
pub const GATEWAY: &str = "gateway";

impl<A: Agents, T> GroupChannel<A, T> {
    fn new(group: GroupName, agents: A, transport: T) -> Self {
        let balanced = BalanceLayer::new(agents, LeastPending::new()).layer(
            UpgradeLayer::new().layer(ChunkLayer::new().layer(CorrelateLayer::new().layer(transport))),
        );
        let stack = RescueLayer::new().layer(DeadlineLayer::new().layer(balanced));
        Self(TargetLayer::group(group).layer(stack))
    }
}

impl<A, T, B, RB> Service<Request<B>> for GroupChannel<A, T>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    T: Service<Outgoing, Response = (), Error = TunnelError>,
    Stack<A, T>: Service<Request<B>, Response = Response<RB>, Error = Infallible>,
{
    type Response = Response<RB>;
    type Error = Infallible;
    type Future = <Stack<A, T> as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.call(request)
    }
}

impl<A, T> fmt::Debug for GroupChannel<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupChannel").finish_non_exhaustive()
    }
}
