//! How a tunnel is described.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::BoxError;

use super::{Link, Port, Tunnel, agent::Plan, pipe::DEFAULT_BUFFER};
use crate::{
    Agent, AgentBuilder, AgentService, Backoff, Gateway,
    entry::{Entry, RequestBody},
    gateway::GatewayBuilder,
};

/// The delays of agents that dial again: short, since tests are.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(10),
    cap: Duration::from_millis(50),
};

/// What agents dial. Nobody looks the address up: the link leads to the gateway.
const GATEWAY: &str = "http://192.0.2.1:7000";

/// A [`Tunnel`] that is being described.
#[must_use = "nothing runs before `start`"]
pub struct TunnelBuilder {
    pub(super) gateway: Arc<dyn Fn() -> GatewayBuilder + Send + Sync>,
    pub(super) entry: Entry,
    pub(super) agents: Vec<Plan>,
    pub(super) faults: Vec<Box<Faults>>,
    pub(super) buffer: usize,
    groups: Vec<String>,
}

/// What befalls a link.
pub(super) type Faults = dyn Fn(&Link) + Send + Sync;

impl TunnelBuilder {
    pub(super) fn new() -> Self {
        Self {
            gateway: Arc::new(|| Gateway::builder().open_to_any_agent()),
            entry: Entry::new(),
            agents: Vec::new(),
            faults: Vec::new(),
            buffer: DEFAULT_BUFFER,
            groups: Vec::new(),
        }
    }

    /// One more agent of this group, which serves `service`: whatever [`Agent::serve`] takes. The first of a group `demo` is called
    /// `demo-1`, the second `demo-2`.
    pub fn agent(self, group: &str, service: impl AgentService + Sync) -> Self {
        self.agent_with(group, service, |agent| agent)
    }

    /// The same, with other settings. The gateway's address, and how it is dialled, are set already.
    pub fn agent_with(
        mut self,
        group: &str,
        service: impl AgentService + Sync,
        change: impl Fn(AgentBuilder) -> AgentBuilder + Send + Sync + 'static,
    ) -> Self {
        self.groups.push(group.to_owned());
        let number = self.groups.iter().filter(|known| *known == group).count();
        let (group, id) = (group.to_owned(), format!("{group}-{number}"));
        let describe = move || change(Agent::builder(GATEWAY).id(&id).group(&group).backoff(BACKOFF));
        self.agents.push(Plan::new(describe, service));
        self
    }

    /// Another gateway, such as one that asks for tokens. It is asked for again at each [restart](Tunnel::restart_gateway).
    pub fn gateway(mut self, gateway: impl Fn() -> GatewayBuilder + Send + Sync + 'static) -> Self {
        self.gateway = Arc::new(gateway);
        self
    }

    /// Other settings of the port for the outside.
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entry = entry;
        self
    }

    /// What befalls each link from the beginning: `.faults(|link| link.delay(...))`. Later, [`TestAgent::link`](super::TestAgent::link) has the same.
    pub fn faults(mut self, faults: impl Fn(&Link) + Send + Sync + 'static) -> Self {
        self.faults.push(Box::new(faults));
        self
    }

    /// What every connection holds on its way, in each direction, in bytes; 64 KiB if not set.
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes.max(1);
        self
    }

    /// Starts the gateway, with the stack that `stack` makes around it, and the agents; waits until all of them are
    /// [connected](Tunnel::connected).
    ///
    /// `stack` is asked for again at each restart of the gateway.
    ///
    /// # Panics
    ///
    /// If an agent's settings are wrong, or the gateway refuses one, or one does not connect in a minute of the runtime's time.
    pub async fn start<S, B>(self, stack: impl Fn(&Gateway) -> S + Send + Sync + 'static) -> Tunnel<S>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let tunnel = self.start_unconnected(stack);
        tunnel.connected().await;
        tunnel
    }

    /// The same, and waits for no agent.
    ///
    /// # Panics
    ///
    /// If an agent's settings are wrong.
    pub fn start_unconnected<S, B>(self, stack: impl Fn(&Gateway) -> S + Send + Sync + 'static) -> Tunnel<S>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let ports = [Port::new(self.buffer), Port::new(self.buffer)];
        Tunnel::open(self, ports, Box::new(stack))
    }
}

impl fmt::Debug for TunnelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelBuilder")
            .field("groups", &self.groups)
            .field("entry", &self.entry)
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}
