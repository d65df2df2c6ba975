//! What only the program around knows, as functions.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::view;
use crate::Upstream;

type Get<T> = Arc<dyn Fn() -> T + Send + Sync>;

type Tell<T> = Arc<dyn Fn(&str) -> T + Send + Sync>;

/// An action that takes a while: boxed, because people ask for it.
pub(super) type Reloading = Pin<Box<dyn Future<Output = view::Reload> + Send>>;

/// A rule, as the program knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its id.
    pub id: String,
    /// The port that it belongs to.
    pub listener: String,
    /// What it matches, for people.
    pub matches: String,
    /// Who serves it.
    pub target: RuleTarget,
}

/// Who serves what a rule matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuleTarget {
    /// The agents of a group.
    Group(String),
    /// An upstream of this process.
    Upstream(String),
    /// Nobody: the answer is fixed.
    #[default]
    Direct,
}

impl fmt::Display for RuleTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Upstream(name) => write!(f, "upstream:{name}"),
            Self::Direct => f.write_str("direct"),
        }
    }
}

/// Reads and sets what is logged.
pub(super) struct LogHook {
    pub(super) get: Get<String>,
    pub(super) set: Tell<Result<(), String>>,
}

/// Everything that is asked of the program. What is none, the interface says that it has not.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) metrics: Option<Get<String>>,
    pub(super) traffic: Option<Get<Vec<view::Traffic>>>,
    pub(super) rules: Option<Get<Vec<RuleInfo>>>,
    pub(super) upstreams: Option<Get<Vec<(String, Upstream)>>>,
    pub(super) config: Option<Get<view::Config>>,
    pub(super) reload: Option<Arc<dyn Fn() -> Reloading + Send + Sync>>,
    pub(super) log: Option<LogHook>,
    pub(super) token_names: Option<Get<Vec<String>>>,
    pub(super) revoke: Option<Tell<bool>>,
    pub(super) any_service: Option<Get<bool>>,
}

impl Hooks {
    pub(super) fn traffic(&self) -> Vec<view::Traffic> {
        self.traffic.as_ref().map_or_else(Vec::new, |traffic| traffic())
    }

    pub(super) fn rules(&self) -> Vec<RuleInfo> {
        self.rules.as_ref().map_or_else(Vec::new, |rules| rules())
    }

    pub(super) fn upstreams(&self) -> Vec<(String, Upstream)> {
        self.upstreams
            .as_ref()
            .map_or_else(Vec::new, |upstreams| upstreams())
    }

    pub(super) fn any_service(&self) -> bool {
        self.any_service.as_ref().is_some_and(|is_so| is_so())
    }

    pub(super) fn config(&self) -> view::Config {
        self.config
            .as_ref()
            .map_or_else(view::Config::default, |config| config())
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("metrics", &self.metrics.is_some())
            .field("traffic", &self.traffic.is_some())
            .field("rules", &self.rules.is_some())
            .field("upstreams", &self.upstreams.is_some())
            .field("reload", &self.reload.is_some())
            .field("log", &self.log.is_some())
            .finish_non_exhaustive()
    }
}
