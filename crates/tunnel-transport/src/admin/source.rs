//! Whose interface it is.

use std::time::Duration;

use super::{agent, gateway, hooks::Hooks, view};
use crate::{Agent, Gateway};

/// A gateway or an agent.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Gateway(Gateway),
    Agent(Agent),
}

impl Source {
    pub(super) fn readiness(&self, hooks: &Hooks) -> view::Ready {
        match self {
            Self::Gateway(of) => gateway::readiness(of, hooks),
            Self::Agent(of) => agent::readiness(of),
        }
    }

    pub(super) fn config(&self, hooks: &Hooks) -> view::Config {
        match self {
            Self::Gateway(of) => gateway::config(of, hooks),
            Self::Agent(of) => agent::config(of, hooks),
        }
    }

    /// Its role, its name, whether it leaves, and the credit that it has granted.
    pub(super) fn about(&self) -> (&'static str, String, bool, usize) {
        match self {
            Self::Gateway(of) => ("gateway", of.id().to_owned(), !of.is_ready(), of.credit().used()),
            Self::Agent(of) => (
                "agent",
                of.id().to_string(),
                agent::is_leaving(of),
                of.credit().used(),
            ),
        }
    }
}

/// The time of the clock, in milliseconds.
pub(super) fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    super::sessions::millis(since)
}
