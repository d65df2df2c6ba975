//! How long the parts of an exchange may take.

use std::time::Duration;

use serde::Deserialize;
use tunnel_core::{Limit, Timeouts};
use tunnel_layers::route::Rule;

use super::units::TimeLimit;

/// The longest wait for the next piece of a request's body, unless the file says otherwise: who sends nothing for so long is
/// gone, or wants to hold a place.
pub(super) const DEFAULT_REQUEST_IDLE: Duration = Duration::from_secs(30);

/// `timeouts:` of the file, and of a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimeouts {
    pub(super) whole: Option<TimeLimit>,
    head: Option<TimeLimit>,
    request_idle: Option<TimeLimit>,
    response_idle: Option<TimeLimit>,
}

impl RawTimeouts {
    /// What holds for rules that say nothing.
    pub(super) fn defaults(self) -> Timeouts {
        let idle = Limit::To(DEFAULT_REQUEST_IDLE);
        Timeouts {
            whole: self.whole.map(|time| time.0),
            head: self.head.map(|time| time.0),
            request_idle: Some(self.request_idle.map_or(idle, |time| time.0)),
            response_idle: self.response_idle.map(|time| time.0),
        }
    }

    /// The rule with these timeouts.
    pub(super) fn apply(self, mut rule: Rule) -> Rule {
        if let Some(time) = self.whole {
            rule = rule.timeout(time.0);
        }
        if let Some(time) = self.head {
            rule = rule.head_timeout(time.0);
        }
        if let Some(time) = self.request_idle {
            rule = rule.request_idle_timeout(time.0);
        }
        if let Some(time) = self.response_idle {
            rule = rule.response_idle_timeout(time.0);
        }
        rule
    }
}
