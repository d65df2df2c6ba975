//! Draining by an operator: what takes nothing new for a while, and comes back.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::sleep;

use crate::upstream::{
    EndpointState, Upstream,
    marks::Marks,
    node::{Member, Node},
    service::Kind,
};

/// # Draining
///
/// An endpoint that is drained takes nothing new: requests go to the others, those that wait for a connection to it included, and
/// where there is no other one they fail with [`Cause::Draining`](tunnel_core::Cause::Draining), which is 503, or UNAVAILABLE. What
/// it has open goes on, and is [counted](EndpointState::pending); each connection closes when it carries nothing more. Health checks
/// go on. A drained address of a name stays drained when the name is looked up again, also if it was away meanwhile.
///
/// The upstream, an endpoint by its [configured](EndpointState::configured) address, and one address of its name are drained and
/// resumed each by itself: an endpoint takes requests when none of these is drained.
impl Upstream {
    /// Drains the endpoint with this [name](EndpointState::name), or all that were [configured](EndpointState::configured) by it.
    /// Whether there is one. What is drained already stays so.
    pub fn drain_endpoint(&self, name: &str) -> bool {
        self.mark_endpoint(name, true)
    }

    /// [Drains](Self::drain_endpoint) an endpoint, and cuts what is left after `limit`, unless it was resumed until then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn drain_endpoint_within(&self, name: &str, limit: Duration) -> bool {
        let found = self.drain_endpoint(name);
        if found {
            self.cut_after(limit, |state| state.name == name || state.configured == name);
        }
        found
    }

    /// Takes an endpoint into use again. It begins like one that has just come, with [slow
    /// start](crate::upstream::UpstreamBuilder::slow_start) and without failures. Whether there is such an endpoint, or was when it was
    /// drained.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn resume_endpoint(&self, name: &str) -> bool {
        self.mark_endpoint(name, false)
    }

    /// Drains all endpoints, and those that come.
    pub fn drain(&self) {
        self.mark(|marks, _| marks.set_all(true));
    }

    /// [Drains](Self::drain) all endpoints, and cuts what is left after `limit`, unless they were resumed until then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn drain_within(&self, limit: Duration) {
        self.drain();
        self.cut_after(limit, |_| true);
    }

    /// Takes the upstream into use again. Endpoints that were drained [by name](Self::drain_endpoint) stay drained.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn resume(&self) {
        self.mark(|marks, _| marks.set_all(false));
    }

    /// Whether the upstream is [drained](Self::drain) as a whole.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.marks().is_all()
    }

    /// Drains what is drained in `old`: for an upstream that takes the place of another one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if something is drained here and not there.
    pub fn keep_drains(&self, old: &Self) {
        let kept = old.marks();
        self.mark(|marks, _| *marks = kept);
    }

    /// Its endpoints. Those of names are there once these have been looked up.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointState> {
        match &self.0.kind {
            Kind::Lone(lone) => vec![lone.state()],
            Kind::Many(cluster) => cluster.each(EndpointState::of),
        }
    }

    fn mark_endpoint(&self, name: &str, drained: bool) -> bool {
        self.mark(|marks, is_there| {
            let is_known = is_there(name) || marks.has(name);
            if is_known {
                marks.set(name, drained, is_there);
            }
            is_known
        })
    }

    fn mark<R>(&self, change: impl FnOnce(&mut Marks, &dyn Fn(&str) -> bool) -> R) -> R {
        match &self.0.kind {
            Kind::Lone(lone) => lone.mark(change),
            Kind::Many(cluster) => cluster.mark(change),
        }
    }

    fn marks(&self) -> Marks {
        match &self.0.kind {
            Kind::Lone(lone) => lone.marks(),
            Kind::Many(cluster) => cluster.marks(),
        }
    }

    fn cut_after(&self, limit: Duration, which: impl Fn(&EndpointState) -> bool) {
        let node = |member: &Member, configured: &str| {
            which(&EndpointState::of(member, configured)).then(|| Arc::downgrade(&member.0))
        };
        let nodes: Vec<Weak<Node>> = match &self.0.kind {
            Kind::Lone(lone) => vec![Arc::downgrade(&lone.node().0)],
            Kind::Many(cluster) => cluster.each(node).into_iter().flatten().collect(),
        };
        tokio::spawn(async move {
            sleep(limit).await;
            for node in nodes.iter().filter_map(Weak::upgrade) {
                node.cut();
            }
        });
    }
}
