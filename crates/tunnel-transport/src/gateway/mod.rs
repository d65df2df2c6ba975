//! The end that takes outside traffic and agents' connections.
//!
//! A [`Gateway`] is made of three parts that can be used apart: the [`TunnelService`] that agents call (mount it in any
//! tonic `Server` or axum `Router`, or let [`Gateway::serve_agents`] do it with the right windows), the [`Registry`] of
//! agents for the balancing layer, and the [`TunnelTransport`] at the bottom of the stack.

mod auth;
mod authenticator;
mod builder;
mod calls;
mod configs;
mod control;
mod health;
mod lanes;
mod leave;
mod listen;
mod names;
mod recheck;
mod registry;
mod replace;
mod revoke;
mod rights;
mod routes;
mod service;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use self::{
    auth::{
        AgentAuth, AgentCredentials, AgentIdentity, AgentTokens, AuthFuture, AuthRejection, InvalidToken,
        MIN_TOKEN_BYTES, OpenToAnyAgent,
    },
    authenticator::AgentAuthenticator,
    builder::{GatewayBuilder, NeedsAuth},
    configs::{AgentConfigs, ConfigRefusal, ConfigStatus, ConfigTooLarge, MAX_CONFIG_BYTES},
    health::GROUP_PREFIX,
    listen::ServeAgents,
    registry::{AgentStatus, Registry},
    rights::{AllowedGroups, AllowedHosts, AllowedServices},
    service::TunnelService,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::{TunnelTransport, heartbeat::Heartbeat};
use tunnel_core::{CreditBudget, Hub, Settings, Tally};

/// The end that takes outside traffic and agents' connections. Cheap to clone; all clones are the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: String,
    auth: ArcSwap<Box<dyn AgentAuth>>,
    /// Counts how often agents' credentials had to be looked at again at once.
    looked: watch::Sender<u64>,
    registry: Registry,
    configs: AgentConfigs,
    /// Names of credentials that were taken back.
    revoked: Mutex<BTreeSet<Box<str>>>,
    /// Who answers what agents ask, if anybody does.
    calls: ArcSwapOption<calls::Callee>,
    settings: Settings,
    heartbeat: Heartbeat,
    budget: CreditBudget,
    tally: Tally,
    max_lanes: u32,
    max_sessions: usize,
    recheck: Duration,
}

impl Gateway {
    /// Starts to describe a gateway. It cannot be built before it is said who may connect as an agent.
    #[must_use]
    pub const fn builder() -> NeedsAuth {
        NeedsAuth::new()
    }

    /// The agents that are connected: what `BalanceLayer` chooses from.
    #[must_use]
    pub fn agents(&self) -> Registry {
        self.0.registry.clone()
    }

    /// The gateway's name, which agents see.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The innermost service of a stack.
    #[must_use]
    pub fn transport(&self) -> TunnelTransport {
        TunnelTransport::new()
    }

    /// The credit that this gateway has granted to its agents.
    #[must_use]
    pub fn credit(&self) -> CreditBudget {
        self.0.budget.clone()
    }

    /// What the sessions of this gateway have counted.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// The gRPC service that agents call, for a server of your own.
    ///
    /// That server's HTTP/2 settings decide how fast agents are: give each stream a window of several MiB, the connection
    /// the largest there is, and no adaptive window. [`serve_agents`](Self::serve_agents) does.
    #[must_use]
    pub fn tunnel_service(&self) -> TunnelService {
        TunnelService::new(self)
    }
}

impl Hub for Gateway {
    type Agents = Registry;
    type Transport = TunnelTransport;

    fn agents(&self) -> Registry {
        Self::agents(self)
    }

    fn transport(&self) -> TunnelTransport {
        Self::transport(self)
    }
}
