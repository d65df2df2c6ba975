//! The end that dials the gateway and serves.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tunnel_transport::{Agent, Upstream};
//!
//! let agent = Agent::builder("http://gateway.example:7000").token_from_env().group("demo").build()?;
//! agent.serve(Upstream::http1("http://127.0.0.1:3000")?).await?;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod board;
mod builder;
mod config;
mod connect;
mod error;
mod fleet;
mod in_process;
mod lanes;
mod link;
mod logged;
mod pipe;
mod run;
mod serve;
mod session;
mod target;
#[cfg(test)]
mod tests;
mod token;
mod uplinks;
mod workers;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::watch;
use tunnel_core::{AgentId, CreditBudget, GroupName, InstanceId, Session, Settings, Tally};

pub(crate) use self::workers::Workers;
pub use self::{
    backoff::Backoff,
    board::GatewayStatus,
    builder::AgentBuilder,
    config::PushedConfig,
    error::AgentError,
    run::Serve,
    serve::{AgentService, ServedRequest},
    token::AgentToken,
    uplinks::AgentUplinks,
};
use self::{
    board::Board,
    target::{Resolvers, Target},
    token::TokenSource,
};
use crate::net::Dialer;

/// The end that dials the gateway and serves. Cheap to clone; all clones are the same agent.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

struct Shared {
    /// At least one.
    gateways: Vec<Arc<Target>>,
    resolvers: Resolvers,
    lookup_interval: Duration,
    dialer: Option<Dialer>,
    id: AgentId,
    instance: InstanceId,
    groups: Vec<GroupName>,
    services: Vec<String>,
    hosts: Vec<String>,
    zone: Option<String>,
    token: TokenSource,
    weight: u32,
    lanes: u32,
    settings: Settings,
    budget: CreditBudget,
    tally: Tally,
    backoff: Backoff,
    connect_timeout: Duration,
    drain: Duration,
    board: Arc<Board>,
    /// The members that its clients choose from.
    uplinks: uplinks::Known,
    configs: config::Configs,
}

/// What an agent is about: with one of its gateways, or in all.
#[derive(Clone, Debug)]
pub enum Status {
    /// It has not been connected yet, or not again.
    Connecting,
    /// It has a session, and every lane of it is open.
    Connected(Session),
    /// It waits before it tries again.
    Waiting {
        /// What went wrong.
        error: Arc<AgentError>,
        /// How long it waits.
        delay: Duration,
    },
    /// It finishes what it has, and takes nothing new.
    Draining,
    /// It has stopped.
    Stopped,
}

impl Agent {
    /// Starts to describe an agent that dials `gateway`, such as `https://gateway.example:7000`, or `http://` without TLS.
    ///
    /// It has a session with every address that the name has, and with every other [gateway](AgentBuilder::gateway) that it is given; at
    /// most 8 in all, and one with each gateway that is found there.
    pub fn builder(gateway: impl Into<String>) -> AgentBuilder {
        AgentBuilder::new(gateway.into())
    }

    /// The agent's name.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.0.id
    }

    /// What the agent is about, now and from now on: [`Connected`](Status::Connected) while it has a session with any of its gateways.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.board.status().subscribe()
    }

    /// What the agent is about with each address of its gateways, in the order in which they were found.
    #[must_use]
    pub fn gateways(&self) -> Vec<GatewayStatus> {
        self.0.board.list()
    }

    /// The sessions that it has now: one with each gateway that is there.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.0.board.sessions()
    }

    /// Whether a request could be carried now: at least one session has a lane, takes new exchanges, and has been heard of lately.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let can_carry = |session: &Session| session.is_available() && !session.is_suspect();
        self.sessions().iter().any(can_carry)
    }

    /// Waits until the agent is connected, and gives its session: where it has several, that which it has had for the longest time.
    /// It must be serving meanwhile.
    ///
    /// Cancel safe. Waits for ever if the agent stops.
    pub async fn connected(&self) -> Session {
        let mut status = self.status();
        loop {
            if let Status::Connected(session) = &*status.borrow_and_update() {
                return session.clone();
            }
            // The sender lives in `self`.
            let _ = status.changed().await;
        }
    }

    /// The credit that this agent has granted to its gateway.
    #[must_use]
    pub fn credit(&self) -> CreditBudget {
        self.0.budget.clone()
    }

    /// What the sessions of this agent have counted.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// The groups, the gRPC services and the hosts that it registers.
    #[must_use]
    pub fn registers(&self) -> (Vec<String>, Vec<String>, Vec<String>) {
        let groups = self.0.groups.iter().map(ToString::to_string).collect();
        (groups, self.0.services.clone(), self.0.hosts.clone())
    }

    /// Where it says that it is.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.0.zone.as_deref()
    }

    /// Its share of new exchanges, relative to the others of its group.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.0.weight
    }

    /// Connects, and hands every exchange to `service`: an axum `Router`, tonic `Routes`, an
    /// [`Upstream`](crate::Upstream), or any of them in layers of yours. Connects again whenever the session is lost.
    ///
    /// The service is cloned for each exchange, and its readiness is waited for. Dropping the future drops the session.
    pub fn serve<S>(&self, service: S) -> Serve<S> {
        Serve::new(self.clone(), service)
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("id", &self.0.id)
            .field("gateways", &self.0.gateways)
            .field("groups", &self.0.groups)
            .finish_non_exhaustive()
    }
}
