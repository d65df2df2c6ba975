//! Which sessions there are, and which groups and services they serve.

mod services;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tunnel_core::{
    AgentId, Agents, Cause, Direction, GroupName, Hosts, Initiator, LaneKey, Member, Services, Session,
    SessionId, TunnelError, balance::Stats,
};

use self::{services::Owners, snapshot::Snapshot};
use super::{ConfigStatus, configs::StatusCell};
use crate::{
    dispatch::control,
    generated::{self as pb, error_message::Code, tunnel_message::Payload},
    metrics,
};

/// Groups that are remembered though nobody serves them. When there are more, all of those are forgotten.
const MAX_KNOWN_GROUPS: usize = 10_000;

/// The agents that are connected to a gateway. Cheap to clone; all clones are the same.
///
/// It answers which agents serve a group, or a host of it ([`Agents`], [`Hosts`]), and which group has a gRPC service that agents
/// registered by its name ([`Services`]).
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Made anew at each change, so that a request only reads.
    snapshot: ArcSwap<Snapshot>,
    none: Arc<[Member]>,
    /// Changes whenever a group's health may have changed.
    life: watch::Sender<Life>,
}

/// Where the gateway is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// It takes no new agents, and tells those that it has to connect elsewhere. It still serves.
    Leaving,
    /// Its sessions drain.
    Stopping,
    /// Its sessions have ended.
    Stopped,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Entry>,
    owners: Owners,
    /// The groups that were ever registered, within the bound.
    known: HashSet<GroupName>,
    /// The agents that the operator gives a rest.
    drained: HashSet<AgentId>,
}

/// One session, as the registry knows it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) session: Session,
    /// The name of the credentials that it showed.
    pub(super) credentials: Arc<str>,
    pub(super) lane_key: LaneKey,
    /// At least one.
    pub(super) groups: Vec<GroupName>,
    /// The gRPC services, which go to the first group. None twice.
    pub(super) services: Vec<Arc<str>>,
    /// The hosts, which are each group's. None twice.
    pub(super) hosts: Vec<Arc<str>>,
    pub(super) weight: u32,
    /// Where the agent says that it is.
    pub(super) zone: Option<Arc<str>>,
    /// How it has been doing, in all of its groups.
    pub(super) stats: Arc<Stats>,
    pub(super) control: mpsc::Sender<Result<pb::TunnelMessage, Status>>,
    /// What the agent has made of its configuration.
    pub(super) config: StatusCell,
    /// The version of the agent's program, as it says.
    pub(super) version: Arc<str>,
    /// Where it came from.
    pub(super) peer: Option<SocketAddr>,
}

impl Entry {
    /// Whether both are sessions of one process. The instance's name alone would let anybody who has seen it keep its owner
    /// out, or take its place.
    fn is_same_process(&self, other: &Self) -> bool {
        self.session.instance() == other.session.instance()
            && self.session.agent() == other.session.agent()
            && self.credentials == other.credentials
    }
}

/// One connected agent, for people and tools.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    /// Its session.
    pub session: Session,
    /// The groups that it serves.
    pub groups: Vec<GroupName>,
    /// The gRPC services that it registered for the first of them.
    pub services: Vec<Arc<str>>,
    /// The hosts that it registered for all of them.
    pub hosts: Vec<Arc<str>>,
    /// Its share of new exchanges.
    pub weight: u32,
    /// Where it says that it is, by its label `zone`.
    pub zone: Option<Arc<str>>,
    /// How it has been doing.
    pub stats: Arc<Stats>,
    /// Whether its ControlStream, or every lane, has been silent for a heartbeat.
    pub suspect: bool,
    /// Which version of its configuration runs, and why another one was refused.
    pub config: ConfigStatus,
    /// Whether it gets nothing new, because the operator [drains](super::Gateway::drain_agent) it.
    pub drained: bool,
    /// The version of its program, as it says; at most 64 characters.
    pub version: Arc<str>,
    /// The address that it came from, if the server said so.
    pub address: Option<SocketAddr>,
    /// The name of the credentials that it showed.
    pub credentials: Arc<str>,
}

/// The same process of an agent is connected already.
#[derive(Debug)]
pub(super) struct AlreadyConnected;

impl Registry {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            snapshot: ArcSwap::default(),
            none: Arc::new([]),
            life: watch::Sender::new(Life::Serving),
        }))
    }

    /// The agents that are connected, by the name of the agent.
    #[must_use]
    pub fn list(&self) -> Vec<AgentStatus> {
        let state = self.state();
        let status = |entry: &Entry| AgentStatus {
            session: entry.session.clone(),
            groups: entry.groups.clone(),
            services: entry.services.clone(),
            hosts: entry.hosts.clone(),
            weight: entry.weight,
            zone: entry.zone.clone(),
            stats: entry.stats.clone(),
            suspect: entry.session.is_suspect(),
            drained: state.drained.contains(entry.session.agent()),
            config: entry.config.status(),
            version: entry.version.clone(),
            address: entry.peer,
            credentials: entry.credentials.clone(),
        };
        let mut list: Vec<_> = state.sessions.values().map(status).collect();
        list.sort_by(|a, b| a.session.agent().cmp(b.session.agent()));
        list
    }

    /// The agents that get nothing new, connected or not, by their names.
    #[must_use]
    pub fn drained(&self) -> Vec<AgentId> {
        let mut drained: Vec<_> = self.state().drained.iter().cloned().collect();
        drained.sort();
        drained
    }

    /// Adds a session. One of the same process is refused, unless the first is suspected to be dead: then that is ended.
    pub(super) fn register(&self, entry: Entry) -> Result<Registered, AlreadyConnected> {
        let id = entry.session.id();
        let replaced = {
            let mut state = self.state();
            let same = |other: &&Entry| other.is_same_process(&entry);
            let old = state
                .sessions
                .values()
                .find(same)
                .map(|old| (old.session.id(), old.session.is_suspect()));
            let replaced = match old {
                Some((_, false)) => return Err(AlreadyConnected),
                Some((old, true)) => Some(old),
                None => None,
            };
            // First the new one, so that its group keeps its services.
            state.insert(entry);
            metrics::started(Direction::ServerToClient);
            let replaced = replaced.and_then(|old| state.remove(old));
            self.publish(&mut state);
            replaced
        };
        if let Some(old) = replaced {
            let text = "the agent connected again";
            let told = pb::ErrorMessage {
                code: Code::Replaced.into(),
                message: text.to_owned(),
                retry_after_ms: 0,
            };
            // It is suspected dead, and may read nothing.
            let _ = old.control.try_send(Ok(control(Payload::ErrorMessage(told))));
            old.session
                .close(&TunnelError::new(Cause::AgentLost, Initiator::Peer, text));
        }
        Ok(Registered {
            registry: self.clone(),
            id,
        })
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Entry> {
        self.state().sessions.get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.state().sessions.values().cloned().collect()
    }

    fn remove(&self, id: SessionId) -> Option<Entry> {
        let mut state = self.state();
        let entry = state.remove(id);
        self.publish(&mut state);
        entry
    }

    /// Whether an agent of `group` could take an exchange now; `None` for a group that nobody has registered yet.
    pub(crate) fn can_carry(&self, group: &GroupName) -> Option<bool> {
        let snapshot = self.0.snapshot.load();
        let can_carry = |session: &Session| session.is_available() && !session.is_suspect();
        let members = &snapshot.groups.get(group)?.members;
        Some(members.iter().any(|member| can_carry(&member.session)))
    }

    pub(super) fn life(&self) -> Life {
        *self.0.life.borrow()
    }

    /// From serving to leaving; tells whether it was serving.
    pub(super) fn begin_to_leave(&self) -> bool {
        self.0.life.send_if_modified(|life| {
            let is_serving = *life == Life::Serving;
            if is_serving {
                *life = Life::Leaving;
            }
            is_serving
        })
    }

    /// Says whether an agent gets nothing new; tells whether it got nothing before.
    pub(super) fn set_drained(&self, agent: &AgentId, is_drained: bool) -> bool {
        let mut state = self.state();
        let was_drained = if is_drained {
            !state.drained.insert(agent.clone())
        } else {
            state.drained.remove(agent)
        };
        self.publish(&mut state);
        was_drained
    }

    pub(super) fn set_life(&self, life: Life) {
        self.0.life.send_replace(life);
    }

    /// Tells who watches that the health of a group may have changed.
    pub(super) fn touch(&self) {
        self.0.life.send_modify(|_| ());
    }

    /// Changes with the gateway's life, and whenever the health of a group may have changed.
    pub(super) fn watch(&self) -> watch::Receiver<Life> {
        self.0.life.subscribe()
    }

    /// How many receivers of [`watch`](Self::watch) there are.
    pub(super) fn watchers(&self) -> usize {
        self.0.life.receiver_count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &mut State) {
        self.0.snapshot.store(Arc::new(state.snapshot()));
        self.touch();
    }
}

impl State {
    fn insert(&mut self, entry: Entry) {
        self.owners.add(&entry);
        self.known.extend(entry.groups.iter().cloned());
        self.sessions.insert(entry.session.id(), entry);
    }

    fn remove(&mut self, id: SessionId) -> Option<Entry> {
        let entry = self.sessions.remove(&id)?;
        metrics::ended(Direction::ServerToClient);
        self.owners.remove(&entry);
        Some(entry)
    }

    fn snapshot(&mut self) -> Snapshot {
        let takes_new = |entry: &&Entry| !self.drained.contains(entry.session.agent());
        let mut groups = snapshot::groups(self.sessions.values().filter(takes_new));
        if self.known.len() > groups.len() + MAX_KNOWN_GROUPS {
            self.known.retain(|group| groups.contains_key(group));
        }
        for group in &self.known {
            groups.entry(group.clone()).or_default();
        }
        Snapshot {
            groups,
            services: self.owners.snapshot(),
        }
    }
}

impl Agents for Registry {
    fn members(&self, group: &GroupName) -> Arc<[Member]> {
        let snapshot = self.0.snapshot.load();
        let members = snapshot.groups.get(group).map(|group| &group.members);
        members.unwrap_or(&self.0.none).clone()
    }

    fn members_with_host(&self, group: &GroupName, host: &str) -> Arc<[Member]> {
        let snapshot = self.0.snapshot.load();
        let members = snapshot.groups.get(group).and_then(|group| group.hosts.get(host));
        members.unwrap_or(&self.0.none).clone()
    }
}

impl Hosts for Registry {
    fn has_host(&self, group: &GroupName, host: &str) -> bool {
        let snapshot = self.0.snapshot.load();
        snapshot
            .groups
            .get(group)
            .is_some_and(|group| group.hosts.contains_key(host))
    }
}

impl Services for Registry {
    fn group_of(&self, service: &str) -> Option<GroupName> {
        self.0.snapshot.load().services.get(service).cloned()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("sessions", &self.state().sessions.len())
            .finish()
    }
}

/// A session's place in the registry. When it drops, the session is gone, and every exchange of it has failed.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Registry,
    id: SessionId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(entry) = self.registry.remove(self.id) {
            let text = "the connection to the agent was lost";
            entry
                .session
                .close(&TunnelError::new(Cause::AgentLost, Initiator::Peer, text));
        }
    }
}
