//! How long the parts of an exchange may take.

use serde::Deserialize;
use tunnel_core::Timeouts;
use tunnel_layers::route::Rule;

use super::units::TimeLimit;

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
    /// What holds for rules that say nothing. Without a word on the request's body, the limit of the port holds for it.
    pub(super) fn defaults(self) -> Timeouts {
        Timeouts {
            whole: self.whole.map(|time| time.0),
            head: self.head.map(|time| time.0),
            request_idle: self.request_idle.map(|time| time.0),
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
