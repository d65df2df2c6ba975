//! Which group has which gRPC service.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use tunnel_core::{GroupName, SessionId};

use super::Entry;

/// The services that agents have registered. A group that has a service keeps it while a session of it is left that
/// registered it; then the group gets it that was next.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<Arc<str>, Claims>);

/// Who wants one service.
#[derive(Debug)]
struct Claims {
    owner: GroupName,
    /// In the order in which they came; never empty.
    sessions: Vec<(SessionId, GroupName)>,
}

impl Owners {
    /// Notes the services of a session.
    pub(super) fn add(&mut self, entry: &Entry) {
        let (id, Some(group)) = (entry.session.id(), entry.groups.first()) else {
            return;
        };
        for service in &entry.services {
            match self.0.entry(service.clone()) {
                hash_map::Entry::Occupied(mut claims) => {
                    let claims = claims.get_mut();
                    if claims.owner != *group {
                        tracing::warn!(
                            %service, owner = %claims.owner, %group, agent.id = %entry.session.agent(),
                            "a gRPC service belongs to another group; this agent gets no calls for it by its name"
                        );
                    }
                    claims.sessions.push((id, group.clone()));
                }
                hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(Claims {
                        owner: group.clone(),
                        sessions: vec![(id, group.clone())],
                    });
                }
            }
        }
    }

    /// Forgets the services of a session that is gone.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let id = entry.session.id();
        for service in &entry.services {
            let hash_map::Entry::Occupied(mut claims) = self.0.entry(service.clone()) else {
                continue;
            };
            let Claims { owner, sessions } = claims.get_mut();
            sessions.retain(|(session, _)| *session != id);
            let next = match sessions.first() {
                Some(_) if sessions.iter().any(|(_, group)| group == owner) => continue,
                Some((_, next)) => next.clone(),
                None => {
                    claims.remove();
                    continue;
                }
            };
            tracing::warn!(%service, from = %owner, to = %next, "a gRPC service goes to another group");
            *owner = next;
        }
    }

    /// What requests read.
    pub(super) fn snapshot(&self) -> HashMap<Arc<str>, GroupName> {
        let owned = |(service, claims): (&Arc<str>, &Claims)| (service.clone(), claims.owner.clone());
        self.0.iter().map(owned).collect()
    }
}
