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
use tunnel_core::{BoxError, GroupName, Hub, Outgoing, TunnelError};

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
        let balanced = BalanceLayer::new(self.agents(), LeastPending::new()).layer(
            UpgradeLayer::new().layer(ChunkLayer::new().layer(CorrelateLayer::new().layer(self.transport()))),
        );
        let stack = RescueLayer::new().layer(DeadlineLayer::new().layer(balanced));
        GroupChannel(TargetLayer::group(name).layer(stack))
    }
}

impl<H: Hub> GroupExt for H {}

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
