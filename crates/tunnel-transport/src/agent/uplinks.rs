//! The gateways, for requests of the agent's side.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tunnel_core::{Agents, GroupName, Member, Session, Uplinks};

use super::Agent;
use crate::TunnelTransport;

/// The sessions that an agent has with its gateways, for a balancing layer: any group has all of them. Cheap to clone.
#[derive(Clone)]
pub struct AgentUplinks {
    agent: Agent,
    /// What was answered last, since sessions change seldom, and statistics live with the members.
    last: Arc<Mutex<Arc<[Member]>>>,
}

impl AgentUplinks {
    fn new(agent: Agent) -> Self {
        let last = Arc::new(Mutex::new(Arc::from([])));
        Self { agent, last }
    }
}

impl Agents for AgentUplinks {
    fn members(&self, _: &GroupName) -> Arc<[Member]> {
        let sessions = self.agent.sessions();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.iter().map(|member| &member.session).eq(&sessions) {
            let known = |session: &Session| last.iter().find(|member| member.session == *session).cloned();
            let member = |session: Session| known(&session).unwrap_or_else(|| Member::new(session, 1));
            *last = sessions.into_iter().map(member).collect();
        }
        last.clone()
    }
}

impl Uplinks for Agent {
    type Sessions = AgentUplinks;
    type Transport = TunnelTransport;

    fn uplinks(&self) -> AgentUplinks {
        AgentUplinks::new(self.clone())
    }

    fn transport(&self) -> TunnelTransport {
        TunnelTransport::new()
    }
}

impl fmt::Debug for AgentUplinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentUplinks")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
