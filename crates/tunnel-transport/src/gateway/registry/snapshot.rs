//! What requests read of the registry.

use std::{collections::HashMap, sync::Arc};

use tunnel_core::{GroupName, Member};

use super::Entry;

/// Everything that is registered, as it is at a time.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) groups: HashMap<GroupName, Group>,
    pub(super) services: HashMap<Arc<str>, GroupName>,
}

/// A group that is known.
#[derive(Default)]
pub(super) struct Group {
    pub(super) members: Arc<[Member]>,
    /// Those of them that have registered a host, by the host.
    pub(super) hosts: HashMap<Arc<str>, Arc<[Member]>>,
}

/// The groups of these sessions.
pub(super) fn groups<'a>(sessions: impl Iterator<Item = &'a Entry>) -> HashMap<GroupName, Group> {
    let mut making = HashMap::<GroupName, Making>::new();
    // In one order everywhere, so that a rotation goes round.
    let mut entries: Vec<_> = sessions.collect();
    entries.sort_by_cached_key(|entry| (entry.session.agent().clone(), entry.session.id().to_string()));
    for entry in entries {
        for group in &entry.groups {
            making.entry(group.clone()).or_default().add(entry);
        }
    }
    making
        .into_iter()
        .map(|(name, group)| (name, group.done()))
        .collect()
}

/// A group that is being put together.
#[derive(Default)]
struct Making {
    members: Vec<Member>,
    hosts: HashMap<Arc<str>, Vec<Member>>,
}

impl Making {
    fn add(&mut self, entry: &Entry) {
        let member = Member {
            session: entry.session.clone(),
            weight: entry.weight,
            zone: entry.zone.clone(),
            stats: entry.stats.clone(),
        };
        for host in &entry.hosts {
            self.hosts.entry(host.clone()).or_default().push(member.clone());
        }
        self.members.push(member);
    }

    fn done(self) -> Group {
        let hosts = self.hosts.into_iter();
        Group {
            members: self.members.into(),
            hosts: hosts.map(|(host, members)| (host, members.into())).collect(),
        }
    }
}
