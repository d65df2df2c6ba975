//! A whole tunnel in one process.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::{io::DuplexStream, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tunnel_core::{Agents as _, BoxError, GroupName, PeerInfo, Session};

use super::{Client, Link, Port, TestAgent, TunnelBuilder, wait::until};
use crate::{
    Gateway,
    entry::{Entry, RequestBody},
    gateway::GatewayBuilder,
};

/// The peer that the gateway sees, unless a client says otherwise (RFC 5737).
pub const DEFAULT_PEER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
    40_000,
);

type MakeStack<S> = Box<dyn Fn(&Gateway) -> S + Send + Sync>;

/// A gateway, with a stack of layers around it, and its agents. Dropping it ends all of them, as a crash would.
pub struct Tunnel<S> {
    gateway: Gateway,
    make_gateway: Arc<dyn Fn() -> GatewayBuilder + Send + Sync>,
    make_stack: MakeStack<S>,
    stack: S,
    entry: Entry,
    outside: Port,
    inside: Port,
    stop: CancellationToken,
    serving: JoinSet<()>,
    agents: Vec<TestAgent>,
}

impl Tunnel<()> {
    /// Starts to describe one.
    pub fn builder() -> TunnelBuilder {
        TunnelBuilder::new()
    }
}

impl<S, B> Tunnel<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn open(builder: TunnelBuilder, ports: [Port; 2], make_stack: MakeStack<S>) -> Self {
        let [outside, inside] = ports;
        let gateway = (builder.gateway)().build();
        let mut tunnel = Self {
            stack: make_stack(&gateway),
            gateway,
            make_gateway: builder.gateway,
            make_stack,
            entry: builder.entry,
            outside,
            inside: inside.clone(),
            stop: CancellationToken::new(),
            serving: JoinSet::new(),
            agents: Vec::new(),
        };
        tunnel.serve();
        for plan in builder.agents {
            let link = Link::new(inside.clone(), builder.buffer);
            for faults in &builder.faults {
                faults(&link);
            }
            tunnel.agents.push(TestAgent::new(plan, link));
        }
        tunnel
    }

    /// Opens both ports.
    fn serve(&mut self) {
        let asked = || self.stop.clone().cancelled_owned();
        let entry = self.entry.clone();
        let outside = entry.serve(self.outside.listen(), self.stack.clone());
        let outside = outside.with_graceful_shutdown(asked()).into_future();
        let agents = self.gateway.serve_agents(self.inside.listen());
        // As the programs do: agents stay until the outside has been served.
        let (served, all_served) = tokio::sync::oneshot::channel::<()>();
        self.serving.spawn(async move {
            outside.await;
            drop(served);
        });
        let agents = agents.with_graceful_shutdown(async {
            let _ = all_served.await;
        });
        self.serving.spawn(agents.into_future());
    }

    /// Drops the gateway with all of its connections, as when its process is killed, and starts another one in its place. Agents find
    /// it by themselves; wait for them with [`connected`](Self::connected).
    pub async fn restart_gateway(&mut self) {
        self.serving.shutdown().await;
        self.gateway = (self.make_gateway)().build();
        self.stack = (self.make_stack)(&self.gateway);
        self.stop = CancellationToken::new();
        self.serve();
    }
}

impl<S> Tunnel<S> {
    /// The gateway.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The stack around the gateway, as the port for the outside has it.
    #[must_use]
    pub fn stack(&self) -> S
    where
        S: Clone,
    {
        self.stack.clone()
    }

    /// The agents, in the order in which they were described.
    #[must_use]
    pub fn agents(&self) -> &[TestAgent] {
        &self.agents
    }

    /// The agent with this name, such as `demo-1`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn agent(&mut self, id: &str) -> &mut TestAgent {
        let mut agents = self.agents.iter_mut();
        agents
            .find(|agent| agent.agent().id().as_str() == id)
            .unwrap_or_else(|| panic!("no agent is called {id}"))
    }

    /// The gateway's sessions of a group.
    ///
    /// # Panics
    ///
    /// If the name is none.
    #[must_use]
    pub fn sessions(&self, group: &str) -> Vec<Session> {
        let group: GroupName = group.parse().expect("a group's name");
        let members = self.gateway.agents().members(&group);
        members.iter().map(|member| member.session.clone()).collect()
    }

    /// A client outside, over HTTP/1.1, on a connection of its own.
    ///
    /// # Panics
    ///
    /// If the gateway does not take it.
    pub async fn http1(&self) -> Client {
        Client::http1(self.connect(DEFAULT_PEER))
            .await
            .expect("the gateway takes connections")
    }

    /// The same, over HTTP/2.
    ///
    /// # Panics
    ///
    /// If the gateway does not take it.
    pub async fn http2(&self) -> Client {
        Client::http2(self.connect(DEFAULT_PEER))
            .await
            .expect("the gateway takes connections")
    }

    /// The bytes of a connection to the port for the outside, from this address.
    ///
    /// # Panics
    ///
    /// If the gateway does not take it.
    #[must_use]
    pub fn connect(&self, peer: SocketAddr) -> DuplexStream {
        self.outside
            .connect(PeerInfo::plaintext(peer))
            .expect("the gateway takes connections")
    }

    /// Tells the gateway to stop, and goes on: it is a lame duck for as long as its [entry](TunnelBuilder::entry) says, lets exchanges
    /// finish, and sends its agents away.
    pub fn begin_to_stop(&self, within: Duration) {
        self.gateway.leave(within);
        self.stop.cancel();
    }

    /// Waits until the gateway has stopped.
    ///
    /// # Panics
    ///
    /// If it panicked.
    pub async fn stopped(&mut self) {
        while let Some(ended) = self.serving.join_next().await {
            ended.expect("a port does not panic");
        }
    }

    /// Waits until every agent that runs has a session with a lane, and the gateway takes requests for it.
    ///
    /// # Panics
    ///
    /// When that does not come in a minute of the runtime's time.
    pub async fn connected(&self) {
        let known = |session: &Session| {
            let all = self.gateway.agents().list();
            let mut all = all.iter().map(|status| &status.session);
            all.any(|known| known.id() == session.id() && known.is_available())
        };
        let is_connected = |agent: &TestAgent| {
            let sessions = agent.sessions();
            !agent.is_running()
                || sessions
                    .iter()
                    .any(|session| session.is_available() && known(session))
        };
        let all = || self.agents.iter().all(is_connected);
        until(all, || format!("not every agent connects: {:?}", self.agents)).await;
    }

    /// Waits until nothing is open, and nothing is left of what was: the tables of both ends are empty, and all credit is back.
    ///
    /// # Panics
    ///
    /// When that does not come in a minute of the runtime's time: something leaks, or a test still holds an answer.
    pub async fn idle(&self) {
        until(
            || self.open_exchanges() == 0 && self.credit() == 0,
            || {
                let (open, credit) = (self.open_exchanges(), self.credit());
                format!("{open} exchanges are open, and {credit} bytes of credit are out")
            },
        )
        .await;
    }

    /// The exchanges that are open, counted at both ends.
    #[must_use]
    pub fn open_exchanges(&self) -> usize {
        let gateway = self.gateway.agents().list();
        let at_gateway = gateway.iter().map(|status| status.session.pending());
        let at_agents = self.agents.iter().flat_map(TestAgent::sessions);
        at_gateway.sum::<usize>() + at_agents.map(|session| session.pending()).sum::<usize>()
    }

    /// The credit that is out, of both ends, in bytes.
    #[must_use]
    pub fn credit(&self) -> usize {
        let at_agents = self.agents.iter().map(|agent| agent.agent().credit().used());
        self.gateway.credit().used() + at_agents.sum::<usize>()
    }
}

impl<S> fmt::Debug for Tunnel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("gateway", &self.gateway)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}
