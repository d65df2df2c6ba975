//! A tunnel with the app behind it, in each of the ways that an app can stand there.

use std::{net::SocketAddr, time::Duration};

use tokio::task::JoinSet;
use tunnel_tests::tunnel::{GROUP, Tunnel, TunnelBuilder, listener};
use tunnel_transport::{Agent, AgentBuilder, AgentService, Upstream};

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
                .expect("axum::serve has no error")
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
