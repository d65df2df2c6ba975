//! A gateway and its agents over real sockets, with the recommended stack.

use std::{
    convert::Infallible,
    future::{IntoFuture as _, poll_fn},
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceBuilder};
use tunnel_core::{Agents as _, BoxError, GroupName, Session, Settings};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{
    Agent, AgentBuilder, AgentService, Gateway, Heartbeat, entry::Entry, gateway::GatewayBuilder,
};

/// The group that [`Tunnel::serve`] and the default rule name.
pub const GROUP: &str = "app";

/// A gateway, its two ports, and the agents that were added. Dropping it ends them all.
#[derive(Debug)]
pub struct Tunnel {
    /// Where outside traffic goes.
    pub addr: SocketAddr,
    /// Where agents dial.
    pub agents_addr: SocketAddr,
    /// The gateway.
    pub gateway: Gateway,
    /// The agents, in the order in which they were added.
    pub agents: Vec<Agent>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// How a [`Tunnel`] is to be.
#[derive(Debug)]
pub struct TunnelBuilder {
    gateway: GatewayBuilder,
    entry: Entry,
    rules: Vec<Rule>,
}

impl Tunnel {
    /// A tunnel with one rule, which sends everything to [`GROUP`], and one agent of that group, connected already.
    pub async fn serve(service: impl AgentService + Sync) -> Self {
        let mut tunnel = Self::builder().start().await;
        tunnel.add_agent(GROUP, service).await;
        tunnel
    }

    /// Starts to describe one.
    #[must_use]
    pub fn builder() -> TunnelBuilder {
        let rules = vec![Rule::group("all", group(GROUP))];
        TunnelBuilder {
            gateway: Gateway::builder().open_to_any_agent(),
            entry: Entry::new(),
            rules,
        }
    }

    /// An agent's description that dials this gateway.
    pub fn agent(&self, group: &str) -> AgentBuilder {
        Agent::builder(format!("http://{}", self.agents_addr)).group(group)
    }

    /// Adds an agent, and waits until it is connected.
    pub async fn add_agent(&mut self, group: &str, service: impl AgentService + Sync) -> Agent {
        self.run_agent(self.agent(group), service).await
    }

    /// Runs an agent, and waits until it is connected and the gateway knows its lanes.
    pub async fn run_agent(&mut self, agent: AgentBuilder, service: impl AgentService + Sync) -> Agent {
        let agent = agent.build().expect("the agent's settings are right");
        self.run(agent, service).await
    }

    /// The same, of an agent that was built before its service, which needs it.
    pub async fn run(&mut self, agent: Agent, service: impl AgentService + Sync) -> Agent {
        let serve = agent.serve(service);
        self.tasks
            .spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        self.agents.push(agent.clone());
        agent
    }

    /// Tells the port for outside traffic to stop, and goes on.
    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// The URL of this path, for a client outside.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The gateway's sessions of a group.
    #[must_use]
    pub fn sessions(&self, name: &str) -> Vec<Session> {
        self.gateway
            .agents()
            .members(&group(name))
            .iter()
            .map(|member| member.session.clone())
            .collect()
    }

    /// Waits until no exchange is open anywhere, and asserts that nothing is left of those that were.
    pub async fn settled(&self) {
        for status in self.gateway.agents().list() {
            poll_fn(|cx| status.session.poll_idle(cx)).await;
            assert_eq!(status.session.pending(), 0, "pending at the gateway");
        }
        for agent in &self.agents {
            if let tunnel_transport::Status::Connected(session) = &*agent.status().borrow() {
                let session = session.clone();
                poll_fn(move |cx| session.poll_idle(cx)).await;
            }
        }
    }
}

impl TunnelBuilder {
    /// Other rules.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules = rules.into_iter().collect();
        self
    }

    /// Other settings of the entry.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entry = entry;
        self
    }

    /// Another heartbeat.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.gateway = self.gateway.heartbeat(heartbeat);
        self
    }

    /// Another gateway, such as one with credentials.
    #[must_use]
    pub fn gateway(mut self, gateway: GatewayBuilder) -> Self {
        self.gateway = gateway;
        self
    }

    /// Other settings of the gateway's sessions.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.gateway = self.gateway.settings(settings);
        self
    }

    /// Starts the gateway on ports that the system chooses.
    pub async fn start(self) -> Tunnel {
        let gateway = self.gateway.build();
        let stack = stack(&gateway, self.rules);
        let (outside, agents) = (listener().await, listener().await);
        let (addr, agents_addr) = (address(&outside), address(&agents));
        let mut tasks = JoinSet::new();
        let stop = CancellationToken::new();
        let entry = self.entry.serve(outside, stack);
        tasks.spawn(
            entry
                .with_graceful_shutdown(stop.clone().cancelled_owned())
                .into_future(),
        );
        tasks.spawn(gateway.serve_agents(agents).into_future());
        Tunnel {
            addr,
            agents_addr,
            gateway,
            agents: Vec::new(),
            stop,
            tasks,
        }
    }
}

/// The recommended stack of layers around this gateway's transport.
///
/// # Panics
///
/// If a rule is wrong.
pub fn stack<B>(
    gateway: &Gateway,
    rules: Vec<Rule>,
) -> impl Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + use<B>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(
            RouteLayer::new(Rules::compile(rules).expect("the rules are right"))
                .services(gateway.agents())
                .hosts(gateway.agents()),
        )
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport())
}

/// A group's name.
///
/// # Panics
///
/// If it is none.
#[must_use]
pub fn group(name: &str) -> GroupName {
    name.parse().expect("a group's name")
}

/// A listener on a port that the system chooses.
pub async fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("loopback has a free port")
}

/// A loopback address that no other test listens or dials at, unlike 127.0.0.1: a port of it that somebody gave up is still free when it
/// wants it back.
pub const APART: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// An address that refuses connections for as long as the socket is kept: it is bound, so that nobody else gets the port, and does not
/// listen.
///
/// # Panics
///
/// If the loopback has no free port.
#[must_use]
pub fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("loopback has a free port");
    let addr = socket.local_addr().expect("a bound socket has an address");
    (socket, addr)
}

/// Where it listens.
///
/// # Panics
///
/// If the socket is broken.
#[must_use]
pub fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}
