//! How a gateway goes, and how it lets agents rest.

use std::{future::poll_fn, time::Duration};

use tokio::time::timeout;
use tracing::{info, warn};
use tunnel_core::{AgentId, Cause, Initiator, TunnelError};

use super::{
    Gateway,
    registry::{Entry, Life},
};
use crate::{
    dispatch::control,
    generated::{self as pb, error_message::Code, tunnel_message::Payload},
};

impl Gateway {
    /// The first step of a stop: readiness fails (see [`health_routes`](Self::health_routes) and [`is_ready`](Self::is_ready)),
    /// new agents are sent away, and those that are connected are told to connect elsewhere, before this gateway is gone
    /// `within` this time. What is asked is still served, by the agents that are here: this gateway is a lame duck until
    /// [`ServeAgents`](super::ServeAgents) stops.
    ///
    /// Only the first call has an effect.
    pub fn leave(&self, within: Duration) {
        let registry = &self.0.registry;
        if !registry.begin_to_leave() {
            return;
        }
        let agents = registry.all();
        info!(
            agents = agents.len(),
            "leaving: agents are told to connect elsewhere"
        );
        for agent in &agents {
            say_drain(agent, within);
        }
    }

    /// Whether the gateway takes requests and is not about to stop: what a balancer in front of it should follow.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.registry.life() == Life::Serving
    }

    /// Gives every agent with this id a rest, as [`drain_agent`](Self::drain_agent) does, and cuts nothing: what is open goes on for as
    /// long as it takes. Tells whether it was at rest already.
    pub fn rest_agent(&self, agent: &AgentId) -> bool {
        self.0.registry.set_drained(agent, true)
    }

    /// Gives every agent with this id a rest: it stays connected, and finishes what it has, but gets nothing new, in this
    /// session and in those that follow it, until [`resume_agent`](Self::resume_agent). What it asks of the gateway itself goes on, since
    /// nobody else can ask it. Ends when nothing is open at the agent, or at the deadline, and then cuts what is, with the session; says
    /// how many exchanges of the gateway those were.
    ///
    /// An id that nobody has is remembered all the same. The agent itself is told nothing, since there is nothing that it should do; one
    /// whose exchanges were cut connects again.
    ///
    /// Dropping the future cuts nothing, and leaves the agent at rest. Nothing happens before it is first polled.
    pub async fn drain_agent(&self, agent: &AgentId, deadline: Duration) -> usize {
        let registry = &self.0.registry;
        registry.set_drained(agent, true);
        let theirs = || {
            let all = registry.all().into_iter();
            all.filter(|entry| entry.session.agent() == agent)
        };
        info!(agent.id = %agent, open = theirs().map(|entry| entry.session.load()).sum::<usize>(), "an agent is given a rest");
        let idle = async {
            for entry in theirs() {
                poll_fn(|cx| entry.session.poll_answered(cx)).await;
            }
        };
        if timeout(deadline, idle).await.is_ok() {
            return 0;
        }
        let mut cut = 0;
        for entry in theirs().filter(|entry| entry.session.load() > 0) {
            cut += entry.session.load();
            say_goodbye(&entry, "the agent was drained, and took too long");
        }
        warn!(agent.id = %agent, cut, "the drain of an agent took too long");
        cut
    }

    /// Lets an agent that was [drained](Self::drain_agent) take requests again. Tells whether it was.
    pub fn resume_agent(&self, agent: &AgentId) -> bool {
        let was_drained = self.0.registry.set_drained(agent, false);
        if was_drained {
            info!(agent.id = %agent, "an agent takes requests again");
        }
        was_drained
    }

    /// Ends every session of the agents with this id, and says how many those were: what is open there fails. Whoever runs the agent
    /// is not asked to stop it, so that it connects again, as after any loss; an agent that is to get nothing new is
    /// [drained](Self::drain_agent), and one that shall not come back loses its [credentials](Self::revoke).
    pub fn disconnect_agent(&self, agent: &AgentId) -> usize {
        let all = self.0.registry.all().into_iter();
        let theirs: Vec<_> = all.filter(|entry| entry.session.agent() == agent).collect();
        for entry in &theirs {
            info!(agent.id = %agent, session.id = %entry.session.id(), open = entry.session.load(), "an agent is disconnected");
            say_goodbye(entry, "the agent was disconnected by the gateway's operator");
        }
        theirs.len()
    }

    /// Tells an agent to go that was registered while the others were told.
    pub(super) fn tell_late(&self, agent: &Entry) {
        if !self.is_ready() {
            say_drain(agent, Duration::ZERO);
        }
    }
}

fn say_drain(agent: &Entry, within: Duration) {
    let drain = pb::Drain {
        deadline_ms: u32::try_from(within.as_millis()).unwrap_or(u32::MAX),
        reason: "the gateway is stopping".to_owned(),
    };
    // An agent that reads nothing learns it when its session ends.
    let _ = agent.control.try_send(Ok(control(Payload::Drain(drain))));
}

/// Ends a session for a reason that is no fault of the agent.
pub(super) fn say_goodbye(agent: &Entry, why: &'static str) {
    let error = pb::ErrorMessage {
        code: Code::Draining.into(),
        message: why.to_owned(),
        retry_after_ms: 0,
    };
    // An agent that reads nothing sees that its stream ends.
    let _ = agent.control.try_send(Ok(control(Payload::ErrorMessage(error))));
    agent
        .session
        .close(&TunnelError::new(Cause::Draining, Initiator::Tunnel, why));
}
