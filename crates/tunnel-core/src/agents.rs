//! The agents of a group, as the balancing layer sees them, and the gRPC services and hosts that they brought with them.

use std::{fmt, sync::Arc};

use crate::{
    balance::{Endpoint, Stats},
    error::{Cause, Initiator, Sent, TunnelError},
    id::GroupName,
    session::Session,
};

/// One session of a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// The session.
    pub session: Session,
    /// Its share of new exchanges, relative to the others of its group: 1 to 1,000.
    pub weight: u32,
    /// Where the agent is, if that is known.
    pub zone: Option<Arc<str>>,
    /// How the agent has been doing: one for the life of the session, in however many groups it is.
    pub stats: Arc<Stats>,
}

impl Member {
    /// A session that has just come, in no zone.
    #[must_use]
    pub fn new(session: Session, weight: u32) -> Self {
        let stats = Arc::new(Stats::new(session.now()));
        Self {
            session,
            weight,
            zone: None,
            stats,
        }
    }

    /// The same, in this zone.
    #[must_use]
    pub fn in_zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.zone = Some(zone.into());
        self
    }
}

/// Its name is the agent's, so that a key comes back to an agent that connects again, and at every gateway.
impl Endpoint for Member {
    fn name(&self) -> &str {
        self.session.agent().as_str()
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn pending(&self) -> usize {
        self.session.load()
    }

    fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// Who serves which group. The gateway implements it; so may you, to balance over sessions of your own.
pub trait Agents: fmt::Debug + Clone + Send + Sync + 'static {
    /// The sessions of `group`, draining ones included. Empty for a group that nobody has registered.
    ///
    /// Called once for each request, so it must not wait.
    fn members(&self, group: &GroupName) -> Arc<[Member]>;

    /// What a request is told while none of the members of its group could take it, whatever their room.
    /// [`Cause::NoAgent`] by default, which is also told of a group without members.
    fn nobody(&self) -> TunnelError {
        TunnelError::new(Cause::NoAgent, Initiator::Tunnel, "no healthy agent").with_sent(Sent::No)
    }

    /// The sessions of `group` that have registered `host`, in its [canonical](crate::admit::Canonical::host) form, draining ones
    /// included. None by default.
    ///
    /// Called once for each request that a rule sends to such agents only, so it must not wait.
    fn members_with_host(&self, group: &GroupName, host: &str) -> Arc<[Member]> {
        let _ = (group, host);
        Arc::new([])
    }
}

/// Which group serves a gRPC service that agents registered by its name. The gateway implements it, for the routing layer.
pub trait Services: fmt::Debug + Clone + Send + Sync + 'static {
    /// The group of `service`, a full name such as `billing.v1.Invoices`; `None` if no connected agent registered it.
    ///
    /// Called for requests that no rule matches, so it must not wait.
    fn group_of(&self, service: &str) -> Option<GroupName>;
}

/// Which hosts the agents of a group have registered. The gateway implements it, for the routing layer.
pub trait Hosts: fmt::Debug + Clone + Send + Sync + 'static {
    /// Whether a connected agent of `group` has registered `host`, in its [canonical](crate::admit::Canonical::host) form.
    ///
    /// Called for requests that may match a rule for such hosts, so it must not wait.
    fn has_host(&self, group: &GroupName, host: &str) -> bool;
}

/// What a stack needs of a gateway at its two ends: whom to choose from, and what writes the messages. The gateway
/// implements it, so that layers can offer whole stacks without knowing it.
pub trait Hub {
    /// Who serves which group.
    type Agents: Agents;
    /// The innermost service.
    type Transport;

    /// Who serves which group.
    fn agents(&self) -> Self::Agents;

    /// The innermost service.
    fn transport(&self) -> Self::Transport;
}

/// What a stack needs of an agent at its two ends, to send requests to the agent's gateways: whom to choose from, and what writes
/// the messages. The agent implements it, so that layers can offer whole stacks without knowing it.
pub trait Uplinks {
    /// The sessions that the agent has with its gateways: members of whatever group is asked for.
    type Sessions: Agents;
    /// The innermost service.
    type Transport;

    /// The sessions that the agent has with its gateways.
    fn uplinks(&self) -> Self::Sessions;

    /// The innermost service.
    fn transport(&self) -> Self::Transport;
}
