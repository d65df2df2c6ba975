//! The configuration that a gateway has for its agents, by group.

mod push;
mod status;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::watch;
use tunnel_core::GroupName;

pub use self::status::{ConfigRefusal, ConfigStatus};
pub(super) use self::{
    push::{Pushes, answer},
    status::StatusCell,
};
use super::Gateway;
use crate::generated as pb;

/// The most bytes of what one agent is sent, and so of the configuration of one group: it is one message of the ControlStream.
pub const MAX_CONFIG_BYTES: usize = 64 * 1024;

/// Begins the configuration of each group in what an agent is sent: a YAML document of its own.
const DOCUMENT: &[u8] = b"---\n";

/// The configurations that a gateway has for the agents of its groups, and pushes to them. Cheap to clone; all clones are the same.
///
/// An agent gets those of all groups that it serves as one text, a YAML document for each group in the order in which it has registered
/// them, and with it a version. Versions grow with every change, and begin with the time at which the gateway was started (in
/// milliseconds), so that they do not go back when it is started anew. What the texts say is for the agent to understand.
#[derive(Clone)]
pub struct AgentConfigs(Arc<Inner>);

struct Inner {
    groups: Mutex<BTreeMap<GroupName, Held>>,
    /// The newest version; 0 while there never was a configuration.
    version: watch::Sender<u64>,
}

#[derive(Clone, Debug)]
struct Held {
    /// Of the last change of this text.
    version: u64,
    /// None if it was taken back.
    text: Option<Bytes>,
}

/// A configuration for agents that is larger than what can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the configuration for the agents of `{group}` has {bytes} bytes; at most {MAX_CONFIG_BYTES} can be sent"
)]
pub struct ConfigTooLarge {
    /// For which agents it is.
    pub group: GroupName,
    /// Its length.
    pub bytes: usize,
}

impl AgentConfigs {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            groups: Mutex::default(),
            version: watch::Sender::new(0),
        }))
    }

    /// Puts these configurations in the place of all that are there, and pushes to every agent what has changed for it. Gives the
    /// newest version. A group that is not named any more has none: its agents are sent an empty one.
    ///
    /// # Errors
    ///
    /// One is too large. Nothing changes then.
    pub fn replace<T: Into<Bytes>>(
        &self,
        configs: impl IntoIterator<Item = (GroupName, T)>,
    ) -> Result<u64, ConfigTooLarge> {
        let mut new = BTreeMap::new();
        for (group, text) in configs {
            let text: Bytes = text.into();
            let bytes = text.len() + DOCUMENT.len();
            if bytes > MAX_CONFIG_BYTES {
                return Err(ConfigTooLarge { group, bytes });
            }
            new.insert(group, text);
        }
        let mut groups = self.groups();
        let newest = self.version();
        let next = newest.saturating_add(1).max(now_ms());
        let mut has_changed = false;
        for (group, held) in groups.iter_mut() {
            if !new.contains_key(group) && held.text.is_some() {
                (held.version, held.text) = (next, None);
                has_changed = true;
            }
        }
        for (group, text) in new {
            let is_same = |held: &Held| held.text.as_ref() == Some(&text);
            if !groups.get(&group).is_some_and(is_same) {
                let text = Some(text);
                groups.insert(group, Held { version: next, text });
                has_changed = true;
            }
        }
        if has_changed {
            // Under the lock, so that versions are told in their order.
            self.0.version.send_replace(next);
        }
        Ok(self.version())
    }

    /// The version of the last change; 0 while there never was a configuration.
    #[must_use]
    pub fn version(&self) -> u64 {
        *self.0.version.borrow()
    }

    /// The version of each group's configuration, by the group; of one that was taken back, the version that says so.
    #[must_use]
    pub fn versions(&self) -> Vec<(GroupName, u64)> {
        let versions = |(group, held): (&GroupName, &Held)| (group.clone(), held.version);
        self.groups().iter().map(versions).collect()
    }

    /// What an agent of these groups should have, if that is newer than this version.
    fn newer(&self, groups: &[GroupName], than: u64) -> Option<pb::ConfigUpdate> {
        let all = self.groups();
        let held = || groups.iter().filter_map(|group| all.get(group));
        let version = held().map(|held| held.version).max().unwrap_or(0);
        if version <= than {
            return None;
        }
        let mut config = BytesMut::new();
        for text in held().filter_map(|held| held.text.as_ref()) {
            config.put_slice(DOCUMENT);
            config.put_slice(text);
            if !text.ends_with(b"\n") {
                config.put_u8(b'\n');
            }
        }
        Some(pb::ConfigUpdate {
            version,
            config: config.freeze(),
        })
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<GroupName, Held>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

impl Gateway {
    /// The configurations that this gateway has for its agents. There are none at first, and then nothing is pushed.
    #[must_use]
    pub fn agent_configs(&self) -> AgentConfigs {
        self.0.configs.clone()
    }
}

impl fmt::Debug for AgentConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups();
        let versions = groups.iter().map(|(group, held)| (group, held.version));
        f.debug_map().entries(versions).finish()
    }
}
