//! A tunnel with the app behind it, in each of the ways that an app can stand there.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{body::Body, response::Response};
use http::Request;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceBuilder, util::BoxCloneSyncService};
use tunnel_core::{Member, Outgoing, TunnelError};
use tunnel_layers::{
    balance::{BalanceLayer, Candidate, Choice, Pick},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::tunnel::{APART, GROUP, Tunnel, TunnelBuilder, group, listener};
use tunnel_transport::{
    Agent, AgentBuilder, AgentService, Backoff, Gateway, Upstream,
    entry::{Entry, RequestBody},
    net::bind,
};

use crate::app::App;

/// After this a test has failed: nothing that it does takes more than a small part of it.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the app runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the agent's process, without a port.
    Agent,
    /// In a hyper server behind an HTTP/1.1 forwarder.
    Http1,
    /// In a hyper server behind an HTTP/2 forwarder.
    H2c,
}

pub(crate) const PLACES: [Place; 3] = [Place::Agent, Place::Http1, Place::H2c];

/// A tunnel and its app.
pub(crate) struct World {
    pub(crate) tunnel: Tunnel,
    pub(crate) app: App,
    tasks: JoinSet<()>,
}

impl World {
    /// One agent with the app at this place.
    pub(crate) async fn new(place: Place) -> Self {
        let mut world = Self::without_agent(Tunnel::builder()).await;
        world.add(place).await;
        world
    }

    /// A gateway that no agent has dialled yet.
    pub(crate) async fn without_agent(builder: TunnelBuilder) -> Self {
        Self {
            tunnel: builder.start().await,
            app: App::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Adds an agent with the app at this place.
    pub(crate) async fn add(&mut self, place: Place) {
        match place {
            Place::Agent => self.tunnel.add_agent(GROUP, self.app.router()).await,
            Place::Http1 => {
                let upstream = Upstream::http1(self.origin().await).expect("an address of our own");
                self.tunnel.add_agent(GROUP, upstream).await
            }
            Place::H2c => {
                let upstream = Upstream::h2c(self.origin().await).expect("an address of our own");
                self.tunnel.add_agent(GROUP, upstream).await
            }
        };
    }

    /// The app in a server of its own; its address.
    pub(crate) async fn origin(&mut self) -> String {
        let listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let app = self.app.router();
        self.tasks.spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("axum::serve has no error");
        });
        format!("http://{addr}")
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.tunnel.addr
    }

    /// Waits until nothing runs any more, and asserts that nothing is left: no handler, no entry, no credit.
    pub(crate) async fn settled(&self) {
        self.app.idle().await;
        self.tunnel.settled().await;
        eventually(|| self.tunnel.gateway.credit().used() == 0).await;
        for agent in &self.tunnel.agents {
            eventually(|| agent.credit().used() == 0).await;
        }
    }
}

/// An agent that can be killed.
pub(crate) struct Mortal {
    pub(crate) agent: Agent,
    serve: JoinSet<()>,
}

impl Mortal {
    /// Runs an agent, and waits until it is connected.
    pub(crate) async fn start(builder: AgentBuilder, service: impl AgentService + Sync) -> Self {
        let agent = builder.build().expect("the agent's settings are right");
        let future = agent.serve(service).into_future();
        let mut serve = JoinSet::new();
        serve.spawn(async move { future.await.expect("the agent is not refused") });
        agent.connected().await;
        Self { agent, serve }
    }

    /// Drops the agent's future, as when its process is killed.
    pub(crate) async fn kill(mut self) {
        self.serve.shutdown().await;
    }
}

/// A stack whose types are gone.
pub(crate) type Stack = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

/// The recommended stack in front of this gateway's agents, with another way to pick and another transport.
pub(crate) fn stack<T>(gateway: &Gateway, pick: impl Pick<Member>, transport: T) -> Stack
where
    T: Service<Outgoing, Response = (), Error = TunnelError, Future: Send> + Clone + Send + Sync + 'static,
{
    let rules = Rules::compile([Rule::group("all", group(GROUP))]).expect("the rules are right");
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules))
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), pick))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(transport);
    BoxCloneSyncService::new(stack)
}

/// A gateway that can be stopped and killed.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    /// Where outside traffic goes.
    pub(crate) addr: SocketAddr,
    /// Where agents dial.
    pub(crate) agents_addr: SocketAddr,
    stop: CancellationToken,
    serve: JoinSet<()>,
}

impl Site {
    /// Starts one on these ports; 0 lets the system choose.
    pub(crate) fn start(ports: [u16; 2], make: impl FnOnce(&Gateway) -> Stack) -> Self {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let [outside, agents] = ports.map(|port| bind((APART, port).into(), 64).expect("the port is free"));
        let [addr, agents_addr] = [&outside, &agents].map(|listener| listener.local_addr().expect("bound"));
        let (stop, mut serve) = (CancellationToken::new(), JoinSet::new());
        let entry = Entry::new().serve(outside, make(&gateway));
        serve.spawn(
            entry
                .with_graceful_shutdown(stop.clone().cancelled_owned())
                .into_future(),
        );
        let agents = gateway.serve_agents(agents);
        serve.spawn(
            agents
                .with_graceful_shutdown(stop.clone().cancelled_owned())
                .into_future(),
        );
        Self {
            gateway,
            addr,
            agents_addr,
            stop,
            serve,
        }
    }

    /// An agent that dials this gateway, again at once when it is lost.
    pub(crate) fn agent(&self, id: &str) -> AgentBuilder {
        let backoff = Backoff {
            first: Duration::from_millis(10),
            cap: Duration::from_millis(50),
        };
        Agent::builder(format!("http://{}", self.agents_addr))
            .group(GROUP)
            .id(id)
            .backoff(backoff)
    }

    /// Tells it to stop, and goes on.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(mut self) {
        while let Some(ended) = self.serve.join_next().await {
            ended.expect("neither port panics");
        }
    }

    /// Drops it, as when its process is killed; its ports are free then.
    pub(crate) async fn kill(mut self) {
        self.serve.shutdown().await;
    }
}

/// Picks the agent with this name, if it may be picked.
pub(crate) fn prefer(id: &'static str) -> impl Pick<Member> {
    move |candidates: &[Candidate<'_, Member>], _: &Choice| {
        let is_it = |one: &Candidate<'_, Member>| one.endpoint.session.agent().to_string() == id;
        candidates.iter().position(is_it).unwrap_or_default()
    }
}

/// Runs a test, and fails it instead of letting it hang.
pub(crate) async fn within<F: Future>(test: F) -> F::Output {
    match tokio::time::timeout(LIMIT, test).await {
        Ok(output) => output,
        Err(_) => panic!("the test waits for something that does not happen"),
    }
}

/// Gives every other task its turns until `is_so`. For what has no event.
pub(crate) async fn eventually(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}
