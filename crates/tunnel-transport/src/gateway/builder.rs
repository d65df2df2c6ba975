//! How a gateway is described.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tunnel_core::{CreditBudget, Settings, flow::DEFAULT_BUDGET};
use uuid::Uuid;

use super::{AgentAuth, Gateway, Registry, Shared, auth::OpenToAnyAgent};
use crate::heartbeat::Heartbeat;

/// The lanes that an agent may open in one session.
const DEFAULT_MAX_LANES: u32 = 8;
/// The agents that may be connected at one time.
const DEFAULT_MAX_SESSIONS: usize = 10_000;

/// How often the credentials of agents that are connected are looked at again.
const DEFAULT_RECHECK: Duration = Duration::from_secs(60);

/// A gateway that does not know yet who may connect as an agent.
#[derive(Clone, Copy, Debug)]
pub struct NeedsAuth(());

impl NeedsAuth {
    pub(super) const fn new() -> Self {
        Self(())
    }

    /// Agents show credentials that `auth` knows: see [`AgentTokens`](super::AgentTokens).
    pub fn agent_auth(self, auth: impl AgentAuth) -> GatewayBuilder {
        GatewayBuilder::new(Box::new(auth))
    }

    /// Everybody who reaches the agents' port may register every group, and so take every request. For a port that only
    /// trusted programs can reach.
    pub fn open_to_any_agent(self) -> GatewayBuilder {
        GatewayBuilder::new(Box::new(OpenToAnyAgent))
    }
}

/// A gateway that is being described.
#[derive(Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct GatewayBuilder {
    id: String,
    auth: Box<dyn AgentAuth>,
    settings: Settings,
    heartbeat: Heartbeat,
    budget: usize,
    max_lanes: u32,
    max_sessions: usize,
    recheck: Duration,
}

impl GatewayBuilder {
    fn new(auth: Box<dyn AgentAuth>) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            auth,
            settings: Settings::default(),
            heartbeat: Heartbeat::DEFAULT,
            budget: DEFAULT_BUDGET,
            max_lanes: DEFAULT_MAX_LANES,
            max_sessions: DEFAULT_MAX_SESSIONS,
            recheck: DEFAULT_RECHECK,
        }
    }

    /// The gateway's name, which agents see. Random by default.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// What this end takes from each agent. Values beyond their bounds are brought into them.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings.clamped();
        self
    }

    /// How the gateway and its agents watch each other. By default a ping each 5 s, and 20 s of silence.
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat.clamped();
        self
    }

    /// The credit that all agents together are granted, in bytes: the bound on what the gateway stores for readers that
    /// do not read. 256 MiB by default.
    pub fn credit_budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The lanes that an agent may open in one session: 1 to 8, by default 8.
    pub fn max_lanes(mut self, lanes: u32) -> Self {
        self.max_lanes = lanes.clamp(1, DEFAULT_MAX_LANES);
        self
    }

    /// The agents that may be connected at one time; at least 1, by default 10,000. Others are told to come again later.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions.max(1);
        self
    }

    /// How often the credentials of agents that are connected are looked at again: at least 10 ms, by default 60 s. An agent
    /// whose credentials are no longer valid, or no longer allow what it has registered, loses its session; while nobody can
    /// say, it keeps it. So does one whose certificate has expired, or leads to none of the CAs that the port's files have by
    /// then, where the port is that of [`serve_agents`](Gateway::serve_agents); it dials again, with the certificate that its own files
    /// have by then.
    pub fn recheck_agents(mut self, interval: Duration) -> Self {
        self.recheck = interval.max(Duration::from_millis(10));
        self
    }

    /// The gateway.
    #[must_use]
    pub fn build(self) -> Gateway {
        let Self {
            id,
            auth,
            settings,
            heartbeat,
            budget,
            max_lanes,
            max_sessions,
            recheck,
        } = self;
        let (registry, budget) = (Registry::new(), CreditBudget::new(budget));
        Gateway(Arc::new(Shared {
            id,
            auth: ArcSwap::from_pointee(auth),
            looked: watch::Sender::new(0),
            registry,
            configs: super::AgentConfigs::new(),
            revoked: Mutex::default(),
            calls: ArcSwapOption::empty(),
            settings,
            heartbeat,
            budget,
            tally: tunnel_core::Tally::new(),
            max_lanes,
            max_sessions,
            recheck,
        }))
    }
}
