use std::{collections::HashMap, sync::Arc, time::Duration};

use tunnel_core::{
    GroupName, Routed,
    balance::{Balancer, Outliers, ZonePreference},
};

use super::line::Lines;
use crate::key::HashKey;

/// How many requests of a group may wait for room unless it is set: more would wait for longer than callers do.
pub const DEFAULT_MAX_WAITING: usize = 1_000;

/// How the agents of a group share its requests: a policy, and what stands around it.
///
/// ```
/// use std::time::Duration;
/// use tunnel_core::balance::{Outliers, PeakEwma, ZonePreference};
/// use tunnel_layers::balance::Balancing;
///
/// let balancing = Balancing::new(PeakEwma::new())
///     .slow_start(Duration::from_secs(30))
///     .zone(ZonePreference::new("eu-1"))
///     .outliers(Outliers::default())
///     .wait(Duration::from_millis(500));
/// # let _ = balancing;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Balancing<P> {
    pub(super) balancer: Balancer<P>,
    pub(super) key: Option<HashKey>,
    pub(super) wait: Duration,
    pub(super) max_waiting: usize,
}

impl<P> Balancing<P> {
    /// The policy alone; nobody waits.
    pub const fn new(pick: P) -> Self {
        Self {
            balancer: Balancer::new(pick),
            key: None,
            wait: Duration::ZERO,
            max_waiting: DEFAULT_MAX_WAITING,
        }
    }

    /// How long it takes until an agent that has just come has its full weight; see [`Balancer::slow_start`].
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.balancer = self.balancer.slow_start(time);
        self
    }

    /// Prefers the agents of a zone.
    pub fn zone(mut self, zone: ZonePreference) -> Self {
        self.balancer = self.balancer.zone(zone);
        self
    }

    /// Gives agents that fail nothing for a while.
    ///
    /// A failure is an answer of 502, 503 or 504, or of UNAVAILABLE to a call of gRPC, and an agent or upstream that is lost
    /// before it has answered. What callers bring about alone is none: that they leave, or that their deadlines pass.
    pub fn outliers(mut self, outliers: Outliers) -> Self {
        self.balancer = self.balancer.outliers(outliers);
        self
    }

    /// What has to come to the same agent again, for [`ConsistentHash`](tunnel_core::balance::ConsistentHash).
    pub fn hash_key(mut self, key: HashKey) -> Self {
        self.key = Some(key);
        self
    }

    /// How long a request waits for room where every agent has as many exchanges as it takes, first come, first served. By default it
    /// does not wait. `DeadlineLayer` ends the wait earlier.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    /// How many requests may wait at a time; [`DEFAULT_MAX_WAITING`] unless set.
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests;
        self
    }
}

impl<P> From<P> for Balancing<P> {
    fn from(pick: P) -> Self {
        Self::new(pick)
    }
}

/// What all services of a layer share.
#[derive(Clone, Debug)]
pub(super) struct Shared<P> {
    default: Balancing<P>,
    groups: HashMap<GroupName, Balancing<P>>,
    rules: HashMap<Box<str>, Balancing<P>>,
    pub(super) lines: Arc<Lines>,
}

impl<P> Shared<P> {
    pub(super) fn new(default: Balancing<P>) -> Self {
        Self {
            default,
            groups: HashMap::new(),
            rules: HashMap::new(),
            lines: Arc::default(),
        }
    }

    pub(super) fn set_group(&mut self, group: GroupName, balancing: Balancing<P>) {
        self.groups.insert(group, balancing);
    }

    pub(super) fn set_rule(&mut self, rule: Box<str>, balancing: Balancing<P>) {
        self.rules.insert(rule, balancing);
    }

    /// What holds for a request that this rule sends to this group.
    pub(super) fn of(&self, (routed, group): (&Routed, &GroupName)) -> &Balancing<P> {
        // Most have said nothing, and need no look-up.
        if !self.rules.is_empty()
            && let Some(balancing) = self.rules.get(&*routed.rule)
        {
            return balancing;
        }
        if self.groups.is_empty() {
            return &self.default;
        }
        self.groups.get(group).unwrap_or(&self.default)
    }
}
