//! The gateways, for requests of the agent's side.

use std::sync::{Arc, Mutex, PoisonError};

use tunnel_core::{Agents, Cause, GroupName, Initiator, Member, Sent, Session, TunnelError, Uplinks};

use super::Agent;
use crate::TunnelTransport;

/// The sessions that an agent has with its gateways, for a balancing layer: any group has all of them. While a gateway leaves, and
/// another one stays, that one alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AgentUplinks(Agent);

/// The members that were asked for last: sessions change seldom, and statistics live with the members.
#[derive(Default)]
pub(super) struct Known(Mutex<Arc<[Member]>>);

impl Known {
    fn of(&self, sessions: Vec<Session>) -> Arc<[Member]> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.iter().map(|member| &member.session).eq(&sessions) {
            let known = |session: &Session| last.iter().find(|member| member.session == *session).cloned();
            let member = |session: Session| known(&session).unwrap_or_else(|| Member::new(session, 1));
            *last = sessions.into_iter().map(member).collect();
        }
        last.clone()
    }
}

impl Agents for AgentUplinks {
    fn members(&self, _: &GroupName) -> Arc<[Member]> {
        let Agent(shared) = &self.0;
        shared.uplinks.of(shared.board.uplinks())
    }

    fn nobody(&self) -> TunnelError {
        let text = "the agent is not connected to a gateway, or is stopping";
        TunnelError::new(Cause::NoGateway, Initiator::Tunnel, text).with_sent(Sent::No)
    }
}

impl Uplinks for Agent {
    type Sessions = AgentUplinks;
    type Transport = TunnelTransport;

    fn uplinks(&self) -> AgentUplinks {
        AgentUplinks(self.clone())
    }

    fn transport(&self) -> TunnelTransport {
        TunnelTransport::new()
    }
}
