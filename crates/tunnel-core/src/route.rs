//! Where a request goes: what the routing layer found out, for the layers below it.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    id::GroupName,
    limits::{Limit, Limits},
    record::Mark,
    retry::RetryPolicy,
};

/// The rule that a request matched. The routing layer puts it into the request's extensions.
///
/// All requests of a rule share what it says, so that a clone costs next to nothing. Writing to a field makes what it says this one's own.
///
/// ```
/// use tunnel_core::{Access, Routed, Target};
///
/// let mut routed = Routed::new("shop", Target::Upstream("billing".into()));
/// let before = routed.clone();
/// routed.access = Access::Public;
/// assert_eq!((&*routed.rule, &before.access), ("shop", &Access::Default));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed(Arc<MatchedRule>);

/// What the rule of a [`Routed`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MatchedRule {
    /// The rule's id: the label for logs and metrics.
    pub rule: Arc<str>,
    /// Who serves it.
    pub target: Target,
    /// The rule's timeouts.
    pub timeouts: Timeouts,
    /// The limits that the rule sets in the place of the layers' own, if it sets any.
    pub limits: Option<Arc<Limits>>,
    /// Who may call.
    pub access: Access,
    /// Only agents of the target's group that have registered the request's host serve it. The balancing layer sees to it.
    pub registered_host: bool,
    /// Whether a request that may have been carried out is sent once more; without a policy it never is. The balancing layer sees
    /// to it.
    pub retry: Option<Arc<RetryPolicy>>,
    /// For records.
    pub(crate) mark: Mark,
}

impl Routed {
    /// A rule that asks for nothing beyond its target: the layers' defaults hold.
    #[must_use]
    pub fn new(rule: impl Into<Arc<str>>, target: Target) -> Self {
        Self(Arc::new(MatchedRule {
            rule: rule.into(),
            target,
            timeouts: Timeouts::default(),
            limits: None,
            access: Access::Default,
            registered_host: false,
            retry: None,
            mark: Mark::default(),
        }))
    }
}

impl Deref for Routed {
    type Target = MatchedRule;

    #[inline]
    fn deref(&self) -> &MatchedRule {
        &self.0
    }
}

impl DerefMut for Routed {
    fn deref_mut(&mut self) -> &mut MatchedRule {
        let rule = Arc::make_mut(&mut self.0);
        // It may be given another name.
        rule.mark = Mark::default();
        rule
    }
}

/// Who may call what a rule matches. The authenticating layer sees to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Whom the layer's default takes.
    #[default]
    Default,
    /// Everybody.
    Public,
    /// Whom the policy with this name takes.
    Policy(Arc<str>),
}

/// Who serves a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A healthy agent of this group.
    Group(GroupName),
    /// An upstream that this process can reach itself, by its name.
    Upstream(Arc<str>),
}

/// How long the parts of an exchange may take. `None` means that nothing is said, so that the default of whoever enforces it
/// holds; [`Limit::Unlimited`] that there is no bound, whatever the default is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's head to the end of the response's body, or of the upgraded stream.
    pub whole: Option<Limit<Duration>>,
    /// Until the response's head is there, from the request's head or the last piece of its body, whichever was later: the
    /// time of an upload is not the server's.
    pub head: Option<Limit<Duration>>,
    /// The longest wait for the next piece of the request's body, while somebody asks for it.
    pub request_idle: Option<Limit<Duration>>,
    /// The longest wait for the next piece of the response's body, while somebody asks for it.
    pub response_idle: Option<Limit<Duration>>,
}

impl Timeouts {
    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, default: Self) -> Self {
        Self {
            whole: self.whole.or(default.whole),
            head: self.head.or(default.head),
            request_idle: self.request_idle.or(default.request_idle),
            response_idle: self.response_idle.or(default.response_idle),
        }
    }
}

/// When a request came, in its extensions: what times are counted from. Whoever receives requests may say it; else it is the
/// time at which the first of our layers saw the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(pub Instant);

/// When an exchange has to be over, in the extensions of its request. The deadline layer puts it there and sees to it until
/// the response's body ends; whoever turns the exchange into a stream of another protocol (an answer of 101, or of 2xx to an
/// extended CONNECT) has to end that stream at this time, since it outlives the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

/// When an exchange has to be over because its caller's credentials have expired, in the extensions of its request. The
/// authenticating layer puts it there, where it is set to, and sees to it until the response's body ends; whoever turns the
/// exchange into a stream of another protocol has to end that stream at this time, since it outlives the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(pub Instant);

/// How long whoever received a request waits for the next piece of its body, in the request's extensions where there is a
/// limit. A layer that knows better sets it; all clones are one.
#[derive(Clone, Debug)]
pub struct BodyIdle(Arc<AtomicU64>);

impl BodyIdle {
    /// What stands for no limit.
    const NEVER: u64 = u64::MAX;

    /// A limit, to the millisecond.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(millis(limit))))
    }

    /// Another limit, from the next look on; `None` means that there is none, maybe because somebody else watches the body.
    pub fn set(&self, limit: Option<Duration>) {
        self.0.store(limit.map_or(Self::NEVER, millis), Ordering::Relaxed);
    }

    /// The limit.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            Self::NEVER => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(BodyIdle::NEVER)
}
