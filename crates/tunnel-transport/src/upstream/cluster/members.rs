//! Which endpoints there are, and which of them take requests.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
};

use super::Cluster;
use crate::upstream::{
    UpstreamEndpoint, health,
    marks::Marks,
    node::Member,
    resolve::{self, Found},
    target::{Address, Target},
};

/// What was configured, and what it is now.
pub(super) struct Sources {
    pub(super) list: Vec<Source>,
    pub(super) marks: Marks,
    /// Whether what runs beside requests has been started.
    pub(super) are_attended: bool,
}

/// Who may be chosen.
pub(super) struct Members {
    pub(super) all: Vec<Member>,
    /// The priorities that they have, lower ones first.
    pub(super) tiers: Vec<u16>,
}

pub(super) struct Source {
    pub(super) endpoint: UpstreamEndpoint,
    pub(super) target: Target,
    pub(super) members: Vec<Member>,
}

impl Cluster {
    /// Starts what runs beside requests, once: look-ups, health checks and first connections.
    pub(in crate::upstream) fn start(self: &Arc<Self>) {
        self.started.call_once(|| {
            let mut sources = self.sources();
            sources.are_attended = true;
            for member in all(&sources.list) {
                self.attend(&member);
            }
            drop(sources);
            let looks_up = !self.names().is_empty();
            if looks_up {
                tokio::spawn(resolve::run(Arc::downgrade(self), self.look_ups.clone()));
            }
        });
    }

    fn attend(&self, member: &Member) {
        if self.initial_connections > 0 {
            let (member, connections) = (member.clone(), self.initial_connections);
            tokio::spawn(async move { member.pool.prepare(connections).await });
        }
        if let Some(check) = &self.health {
            tokio::spawn(health::run(Arc::downgrade(&member.0), check.clone()));
        }
    }

    /// The names that are looked up, with their places in the list.
    pub(in crate::upstream) fn names(&self) -> Vec<(usize, Address)> {
        let sources = self.sources();
        let names = sources.list.iter().enumerate();
        names
            .map(|(index, source)| (index, source.target.address.clone()))
            .filter(|(_, address)| self.look_ups.concern(address))
            .collect()
    }

    /// The addresses that a name has now. Members at addresses that stay are the same; others take nothing new, and what they have
    /// open goes on.
    pub(in crate::upstream) fn update(&self, source: usize, found: &[Found]) {
        let mut sources = self.sources();
        let Sources { list, marks, .. } = &mut *sources;
        let Some(source) = list.get_mut(source) else {
            return;
        };
        let mut old = std::mem::take(&mut source.members);
        for found in found {
            let address = found.address;
            let wanted = Address::Socket(address);
            if source
                .members
                .iter()
                .any(|member| member.target.address == wanted)
            {
                continue;
            }
            let known = old.iter().position(|member| member.target.address == wanted);
            let member = match known {
                Some(index) => old.swap_remove(index),
                None => {
                    let target = source.target.at(address);
                    let member = Member(self.maker.node(target, &source.endpoint, address.to_string()));
                    if self.closed.load(Ordering::Acquire) {
                        member.close();
                    } else {
                        self.attend(&member);
                    }
                    if marks.cover(&source.endpoint.uri, member.name()) {
                        member.drain();
                    }
                    member
                }
            };
            member.set_place(found);
            source.members.push(member);
        }
        self.members.store(Arc::new(Members::of(&sources.list)));
        drop(sources);
        for gone in old {
            gone.close();
        }
    }

    /// Every name was looked up, whatever came out.
    pub(in crate::upstream) fn has_resolved(&self) {
        self.resolved
            .send_if_modified(|resolved| !std::mem::replace(resolved, true));
    }

    pub(in crate::upstream) fn close(&self) {
        // Under the lock, so that nobody is making members meanwhile.
        let _sources = self.sources();
        self.closed.store(true, Ordering::Release);
        for member in &self.members.load().all {
            member.close();
        }
    }

    /// What `look` says of each endpoint, with what it was configured as.
    pub(in crate::upstream) fn each<T>(&self, look: impl Fn(&Member, &str) -> T) -> Vec<T> {
        let sources = self.sources();
        let each = sources.list.iter().flat_map(|source| {
            let configured = source.endpoint.uri.as_str();
            let look = &look;
            source.members.iter().map(move |member| look(member, configured))
        });
        each.collect()
    }

    pub(in crate::upstream) fn marks(&self) -> Marks {
        self.sources().marks.clone()
    }

    /// Changes what is drained. The function is told which names there are.
    pub(in crate::upstream) fn mark<R>(
        &self,
        change: impl FnOnce(&mut Marks, &dyn Fn(&str) -> bool) -> R,
    ) -> R {
        let mut sources = self.sources();
        let Sources {
            list,
            marks,
            are_attended,
        } = &mut *sources;
        let changed = change(marks, &|name| list.iter().any(|source| source.has(name)));
        for source in list {
            for member in &mut source.members {
                if marks.cover(&source.endpoint.uri, member.name()) {
                    member.drain();
                } else if member.is_draining() && !self.closed.load(Ordering::Acquire) {
                    let next = Member(self.maker.successor(member, &source.endpoint));
                    if *are_attended {
                        self.attend(&next);
                    }
                    std::mem::replace(member, next).resumed();
                }
            }
        }
        self.members.store(Arc::new(Members::of(&sources.list)));
        changed
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Whether it is called so, or one of its members is.
    fn has(&self, name: &str) -> bool {
        self.endpoint.uri == name || self.members.iter().any(|member| member.name() == name)
    }
}

impl Members {
    pub(super) fn of(sources: &[Source]) -> Self {
        let all = all(sources);
        let tiers: BTreeSet<_> = all.iter().map(|member| member.priority()).collect();
        Self {
            all,
            tiers: tiers.into_iter().collect(),
        }
    }
}

fn all(sources: &[Source]) -> Vec<Member> {
    let members = sources.iter().flat_map(|source| &source.members);
    members.cloned().collect()
}
