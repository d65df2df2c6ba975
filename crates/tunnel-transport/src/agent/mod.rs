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
mod builder;
mod connect;
mod error;
mod in_process;
mod lanes;
mod pipe;
mod run;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod token;

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;
use tokio::sync::watch;
use tunnel_core::{AgentId, CreditBudget, GroupName, InstanceId, Session, Settings};

use self::token::TokenSource;
pub use self::{
    backoff::Backoff,
    builder::AgentBuilder,
    error::AgentError,
    run::Serve,
    serve::{AgentService, ServedRequest},
    token::AgentToken,
};
use crate::net::Dialer;

/// The end that dials the gateway and serves. Cheap to clone; all clones are the same agent.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

struct Shared {
    gateway: Uri,
    address: String,
    dialer: Option<Dialer>,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::ClientTls>,
    id: AgentId,
    instance: InstanceId,
    groups: Vec<GroupName>,
    services: Vec<String>,
    hosts: Vec<String>,
    token: TokenSource,
    weight: u32,
    lanes: u32,
    settings: Settings,
    budget: CreditBudget,
    backoff: Backoff,
    connect_timeout: Duration,
    drain: Duration,
    status: watch::Sender<Status>,
}

/// What an agent is about.
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
    pub fn builder(gateway: impl Into<String>) -> AgentBuilder {
        AgentBuilder::new(gateway.into())
    }

    /// The agent's name.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.0.id
    }

    /// What the agent is about, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.subscribe()
    }

    /// Waits until the agent is connected, and gives its session. It must be serving meanwhile.
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
            .field("gateway", &self.0.gateway)
            .field("groups", &self.0.groups)
            .finish_non_exhaustive()
    }
}
