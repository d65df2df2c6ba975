//! Sessions for tests of what is told of them, with nobody at the other end.

use std::sync::Arc;

use tunnel_core::{
    CreditBudget, Direction, Features, InstanceId, Session, SessionConfig, SessionId, Settings,
};

use crate::runtime::{TokioRuntime, random};

/// The gateway's end of a session with this agent.
pub(crate) fn session(agent: &str) -> Session {
    Session::new(SessionConfig {
        id: SessionId::from_random(random()),
        agent: agent.parse().unwrap(),
        instance: InstanceId::from_random([1; 16]),
        opens: Direction::ServerToClient,
        local: Settings::default(),
        remote: Settings::default(),
        features: Features::ALL,
        budget: CreditBudget::new(1 << 20),
        runtime: Arc::new(TokioRuntime::current()),
    })
}
