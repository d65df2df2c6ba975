//! Which sessions there are, and which groups they serve.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tonic::Status;
use tunnel_core::{Agents, Cause, GroupName, Initiator, LaneKey, Member, Session, SessionId, TunnelError};

use crate::{
    dispatch::control,
    generated::{self as pb, error_message::Code, tunnel_message::Payload},
};

/// The agents that are connected to a gateway. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    entries: Mutex<HashMap<SessionId, Entry>>,
    /// Made anew at each change, so that a request only reads.
    groups: ArcSwap<HashMap<GroupName, Arc<[Member]>>>,
    none: Arc<[Member]>,
}

/// One session, as the registry knows it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) session: Session,
    /// The name of the credentials that it showed.
    pub(super) credentials: Arc<str>,
    pub(super) lane_key: LaneKey,
    pub(super) groups: Vec<GroupName>,
    pub(super) weight: u32,
    pub(super) control: mpsc::Sender<Result<pb::TunnelMessage, Status>>,
    /// Whether the ControlStream has been silent for an interval.
    pub(super) suspect: Arc<AtomicBool>,
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
    /// Its share of new exchanges.
    pub weight: u32,
    /// Whether it has been silent for a heartbeat.
    pub suspect: bool,
}

/// The same process of an agent is connected already.
#[derive(Debug)]
pub(super) struct AlreadyConnected;

impl Registry {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            entries: Mutex::default(),
            groups: ArcSwap::default(),
            none: Arc::new([]),
        }))
    }

    /// The agents that are connected, by the name of the agent.
    #[must_use]
    pub fn list(&self) -> Vec<AgentStatus> {
        let status = |entry: &Entry| AgentStatus {
            session: entry.session.clone(),
            groups: entry.groups.clone(),
            weight: entry.weight,
            suspect: entry.suspect.load(Ordering::Relaxed),
        };
        let mut list: Vec<_> = self.entries().values().map(status).collect();
        list.sort_by(|a, b| a.session.agent().cmp(b.session.agent()));
        list
    }

    /// Adds a session. One of the same process is refused, unless the first is suspected to be dead: then that is ended.
    pub(super) fn register(&self, entry: Entry) -> Result<Registered, AlreadyConnected> {
        let id = entry.session.id();
        let replaced = {
            let mut entries = self.entries();
            let same = |other: &&Entry| other.is_same_process(&entry);
            let old = entries
                .values()
                .find(same)
                .map(|old| (old.session.id(), old.suspect.load(Ordering::Relaxed)));
            let replaced = match old {
                Some((_, false)) => return Err(AlreadyConnected),
                Some((old, true)) => entries.remove(&old),
                None => None,
            };
            entries.insert(id, entry);
            self.publish(&entries);
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
        self.entries().get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.entries().values().cloned().collect()
    }

    fn remove(&self, id: SessionId) -> Option<Entry> {
        let mut entries = self.entries();
        let entry = entries.remove(&id);
        self.publish(&entries);
        entry
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, entries: &HashMap<SessionId, Entry>) {
        let mut groups = HashMap::<GroupName, BTreeMap<_, Member>>::new();
        for entry in entries.values() {
            for group in &entry.groups {
                // In one order everywhere, so that a rotation goes round.
                let key = (entry.session.agent().clone(), entry.session.id().to_string());
                let member = Member {
                    session: entry.session.clone(),
                    weight: entry.weight,
                };
                groups.entry(group.clone()).or_default().insert(key, member);
            }
        }
        let groups = groups
            .into_iter()
            .map(|(group, members)| (group, members.into_values().collect()))
            .collect();
        self.0.groups.store(Arc::new(groups));
    }
}

impl Agents for Registry {
    fn members(&self, group: &GroupName) -> Arc<[Member]> {
        self.0.groups.load().get(group).unwrap_or(&self.0.none).clone()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("sessions", &self.entries().len())
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
