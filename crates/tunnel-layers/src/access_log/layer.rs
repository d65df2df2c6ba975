use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tunnel_core::{AgentId, GroupName};

use super::{AccessLog, Events, RefusedHeader, Sink, headers::Logged};

/// Tells of each exchange when it is over; see the [module](super).
#[derive(Clone)]
pub struct AccessLogLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) is_on: bool,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) query: bool,
    pub(super) headers: Logged,
    pub(super) agent: Option<AgentId>,
    pub(super) group: Option<GroupName>,
}

impl AccessLogLayer {
    /// A layer that makes [events](Events) of `tracing`, without queries and headers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings {
                is_on: true,
                sink: Arc::new(Events),
                query: false,
                headers: Logged::default(),
                agent: None,
                group: None,
            }),
        }
    }

    /// Whether it logs at all: for stacks that are always put together in the same way. A layer that does not only hands on.
    #[must_use]
    pub fn enabled(self, is_on: bool) -> Self {
        self.set(|settings| settings.is_on = is_on)
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn into_settings(self) -> Arc<Settings> {
        self.settings
    }

    /// Gives the entries to `sink`.
    #[must_use]
    pub fn sink(self, sink: impl Sink) -> Self {
        self.set(|settings| settings.sink = Arc::new(sink))
    }

    /// Whether queries are told. They are not by default, since they may hold secrets: `?redacted` stands in their place.
    #[must_use]
    pub fn query(self, query: bool) -> Self {
        self.set(|settings| settings.query = query)
    }

    /// The headers of requests that are told, in the place of those that were named before; none by default.
    ///
    /// # Errors
    ///
    /// One of them holds secrets, such as `authorization` and `cookie`, or is no header's name.
    pub fn headers<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, RefusedHeader> {
        let headers = Logged::new(names)?;
        Ok(self.set(|settings| settings.headers = headers))
    }

    /// The agent around whose service this stands.
    #[must_use]
    pub fn agent(self, agent: AgentId) -> Self {
        self.set(|settings| settings.agent = Some(agent))
    }

    /// The group where no rule says it: at an agent, the group that it serves.
    #[must_use]
    pub fn group(self, group: GroupName) -> Self {
        self.set(|settings| settings.group = Some(group))
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for AccessLogLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for AccessLogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLogLayer")
            .field("query", &self.settings.query)
            .field("headers", &self.settings.headers)
            .field("agent", &self.settings.agent)
            .finish_non_exhaustive()
    }
}
