use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{Metrics, Overview, meter::Meters};

/// The most agents that have a label of their own unless it is [set](MetricsLayer::max_agents): their names are their own choice.
pub const DEFAULT_MAX_AGENTS: usize = 1_024;

/// The most sets of rule, target and protocol that have labels of their own unless it is [set](MetricsLayer::max_rules). There are
/// as many as the configuration makes; those of configurations that were replaced stay.
pub const DEFAULT_MAX_RULES: usize = 4_096;

/// Measures exchanges until they end; see the [module](super).
#[derive(Clone)]
pub struct MetricsLayer {
    settings: Settings,
    meters: Arc<Meters>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) is_on: bool,
    pub(super) is_recorded: bool,
    pub(super) role: &'static str,
    pub(super) agent: Option<Arc<str>>,
    pub(super) group: Arc<str>,
    pub(super) max_agents: usize,
    pub(super) max_rules: usize,
    pub(super) overview: Option<Overview>,
}

impl MetricsLayer {
    /// A layer that measures for whatever recorder of the crate `metrics` is installed when the first exchange comes; its label
    /// `role` is `gateway`.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Settings {
            is_on: true,
            is_recorded: true,
            role: "gateway",
            agent: None,
            group: "".into(),
            max_agents: DEFAULT_MAX_AGENTS,
            max_rules: DEFAULT_MAX_RULES,
            overview: None,
        })
    }

    fn with(settings: Settings) -> Self {
        Self {
            meters: Arc::new(Meters::new(settings.clone())),
            settings,
        }
    }

    /// Whether it measures at all: for stacks that are always put together in the same way. A layer that does not only hands on.
    #[must_use]
    pub fn enabled(self, is_on: bool) -> Self {
        Self::with(Settings {
            is_on,
            ..self.settings
        })
    }

    /// Whether the recorder is told of each exchange, which it is unless this says otherwise. Where there is an
    /// [overview](Self::overview) that an endpoint [asks](Overview::families) for the same numbers, they need not be counted a second
    /// time. What is rare, retries and limits, the recorder is told in any case.
    #[must_use]
    pub fn recorded(self, is_recorded: bool) -> Self {
        Self::with(Settings {
            is_recorded,
            ..self.settings
        })
    }

    #[cfg(feature = "access_log")]
    pub(crate) fn into_meters(self) -> Arc<Meters> {
        self.meters
    }

    /// The label `role`, which tells layers of one process apart.
    #[must_use]
    pub fn role(self, role: &'static str) -> Self {
        Self::with(Settings {
            role,
            ..self.settings
        })
    }

    /// The agent around whose service this stands: the label `agent` of every exchange. Its `role` is then `agent`.
    #[must_use]
    pub fn agent(self, name: impl Into<Arc<str>>) -> Self {
        Self::with(Settings {
            role: "agent",
            agent: Some(name.into()),
            ..self.settings
        })
    }

    /// The label `group` where no rule says it: at an agent, the group that it serves.
    #[must_use]
    pub fn group(self, name: impl Into<Arc<str>>) -> Self {
        Self::with(Settings {
            group: name.into(),
            ..self.settings
        })
    }

    /// Counts here as well, for those who look from inside the process.
    #[must_use]
    pub fn overview(self, overview: Overview) -> Self {
        Self::with(Settings {
            overview: Some(overview),
            ..self.settings
        })
    }

    /// How many agents have a label of their own; the others are `other`.
    #[must_use]
    pub fn max_agents(self, max: usize) -> Self {
        Self::with(Settings {
            max_agents: max,
            ..self.settings
        })
    }

    /// How many sets of rule, target and protocol have labels of their own; in the others, the rule is `other`.
    #[must_use]
    pub fn max_rules(self, max: usize) -> Self {
        Self::with(Settings {
            max_rules: max,
            ..self.settings
        })
    }
}

impl Default for MetricsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        Metrics::new(inner, Arc::clone(&self.meters))
    }
}

impl fmt::Debug for MetricsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("role", &self.settings.role)
            .field("agent", &self.settings.agent)
            .field("overview", &self.settings.overview)
            .finish_non_exhaustive()
    }
}
