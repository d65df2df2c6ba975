//! Where a request goes: what the routing layer found out, for the layers below it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::id::GroupName;

/// The rule that a request matched. The routing layer puts it into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The rule's id: the label for logs and metrics.
    pub rule: Arc<str>,
    /// Who serves it.
    pub target: Target,
    /// The rule's timeouts.
    pub timeouts: Timeouts,
    /// Who may call.
    pub access: Access,
}

impl Routed {
    /// A rule that asks for nothing beyond its target: the layers' defaults hold.
    #[must_use]
    pub fn new(rule: impl Into<Arc<str>>, target: Target) -> Self {
        Self {
            rule: rule.into(),
            target,
            timeouts: Timeouts::default(),
            access: Access::default(),
        }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A healthy agent of this group.
    Group(GroupName),
    /// An upstream that this process can reach itself, by its name.
    Upstream(Arc<str>),
}

/// How long the parts of an exchange may take. `None` means without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's head to the end of the response's body.
    pub whole: Option<Duration>,
}

/// When a request came, in its extensions: what times are counted from. Whoever receives requests may say it; else it is the
/// time at which the first of our layers saw the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(pub Instant);
