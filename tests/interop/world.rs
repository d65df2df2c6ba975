//! A server of the test service, and what stands before it.

use std::{future::IntoFuture as _, net::SocketAddr, time::Duration};

use tokio::task::JoinSet;
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tunnel_tests::tunnel::{GROUP, Tunnel, TunnelBuilder, address, listener};
use tunnel_transport::{AgentService, Upstream};

use crate::{pb::test_service_client::TestServiceClient, server::Server};

/// After this a test has failed: nothing that it does takes more than a small part of it.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is no tunnel: the client talks to the server.
    Direct,
    /// In the agent's process, without a port.
    Agent,
    /// A server of its own, to which the agent forwards.
    Upstream,
}

pub(crate) const PLACES: [Place; 3] = [Place::Direct, Place::Agent, Place::Upstream];
/// Those with a tunnel.
pub(crate) const TUNNELS: [Place; 2] = [Place::Agent, Place::Upstream];

pub(crate) type Client = TestServiceClient<Channel>;

/// A server at one of the places.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) tunnel: Option<Tunnel>,
    /// Where clients go.
    pub(crate) addr: SocketAddr,
    /// The agent that can be killed.
    agent: JoinSet<()>,
    /// The server, if it has a port.
    _origin: JoinSet<()>,
}

impl World {
    /// The tonic server at this place, behind the usual tunnel.
    pub(crate) async fn new(place: Place) -> Self {
        Self::with(place, Server::new(), Tunnel::builder()).await
    }

    pub(crate) async fn with(place: Place, server: Server, builder: TunnelBuilder) -> Self {
        let mut origin = JoinSet::new();
        let mut world = Self {
            server,
            tunnel: None,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            agent: JoinSet::new(),
            _origin: JoinSet::new(),
        };
        let routes = world.server.routes();
        if place == Place::Agent {
            world.behind(builder, routes).await;
        } else {
            world.addr = serve(&mut origin, routes).await;
            if place == Place::Upstream {
                let upstream = Upstream::h2c(format!("http://{}", world.addr));
                world.behind(builder, upstream.expect("an address")).await;
            }
        }
        world._origin = origin;
        world
    }

    /// Puts a tunnel and an agent with this service before it.
    async fn behind(&mut self, builder: TunnelBuilder, service: impl AgentService + Sync) {
        let mut tunnel = builder.start().await;
        let agent = tunnel.agent(GROUP).build().expect("settings that are right");
        let serve = agent.serve(service).into_future();
        self.agent
            .spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        self.addr = tunnel.addr;
        tunnel.agents.push(agent);
        self.tunnel = Some(tunnel);
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        client(self.addr).await
    }

    /// Ends the agent, as when its process is killed.
    pub(crate) async fn kill_agent(&mut self) {
        self.agent.shutdown().await;
    }

    /// The tunnel, at a place that has one.
    pub(crate) fn tunnel(&self) -> &Tunnel {
        self.tunnel.as_ref().expect("a place with a tunnel")
    }

    /// Waits until nothing runs any more, and asserts that nothing is left.
    pub(crate) async fn settled(&self) {
        self.server.calls.running(0).await;
        if let Some(tunnel) = &self.tunnel {
            settled(tunnel).await;
        }
    }
}

/// Waits until no exchange is open in this tunnel, and no credit is granted.
pub(crate) async fn settled(tunnel: &Tunnel) {
    tunnel.settled().await;
    eventually(|| tunnel.gateway.credit().used() == 0).await;
    for agent in &tunnel.agents {
        eventually(|| agent.credit().used() == 0).await;
    }
}

/// Serves with tonic on a port that the system chooses.
pub(crate) async fn serve(tasks: &mut JoinSet<()>, routes: Routes) -> SocketAddr {
    let listener = listener().await;
    let addr = address(&listener);
    let server = tonic::transport::Server::builder()
        .add_routes(routes)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tasks.spawn(async move { server.await.expect("the listener is sound") });
    addr
}

/// A connection of tonic's.
pub(crate) async fn channel(addr: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("an address");
    endpoint.connect().await.expect("somebody listens")
}

/// A client of the test service, which takes messages of any size.
pub(crate) async fn client(addr: SocketAddr) -> Client {
    Client::new(channel(addr).await).max_decoding_message_size(usize::MAX)
}

/// Gives every other task its turns until `is_so`. For what has no event.
pub(crate) async fn eventually(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Runs a test, and fails it instead of letting it hang.
pub(crate) async fn within<F: Future>(what: &str, test: F) -> F::Output {
    match tokio::time::timeout(LIMIT, test).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: waits for something that does not happen"),
    }
}
