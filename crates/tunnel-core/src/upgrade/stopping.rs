use std::{fmt, sync::Arc};

use crate::runtime::BoxTask;

/// How a server tells its upgraded streams that it is stopping: an extension of requests.
///
/// Plain requests end by themselves while a server drains; an upgraded stream may go on for ever, so it has to hear of it.
#[derive(Clone)]
pub struct Stopping(Arc<dyn Fn() -> BoxTask + Send + Sync>);

impl Stopping {
    /// `wait` makes a future that ends when the server begins to stop.
    pub fn new(wait: impl Fn() -> BoxTask + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }

    /// Ends when the server begins to stop.
    #[must_use]
    pub fn wait(&self) -> BoxTask {
        (self.0)()
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopping")
    }
}
