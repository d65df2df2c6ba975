use std::{sync::Arc, time::Duration};

use tower_layer::Layer;
use tunnel_core::Runtime;

use super::Upgrade;

/// Carries out upgrades; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct UpgradeLayer {
    settings: Settings,
}

/// What the streams of all connections have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) idle: Option<Duration>,
    pub(super) ping: Option<Duration>,
    pub(super) runtime: Option<Arc<dyn Runtime>>,
}

impl UpgradeLayer {
    /// The layer, without limits of its own to the life of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            settings: Settings {
                idle: None,
                ping: None,
                runtime: None,
            },
        }
    }

    /// Ends a stream when no byte has moved in either direction for so long. Never, unless it is set; zero means never as well.
    #[must_use]
    pub const fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle = Some(time);
        self
    }

    /// Sends a WebSocket client a Ping when nothing has come from it for so long, and ends the stream when nothing has come for as
    /// long again. Its Pongs do not reach the server. Never, unless it is set; zero means never as well.
    ///
    /// Pings of the endpoints pass without it, so it is for endpoints that send none and stand behind something that forgets
    /// silent connections. A client may then leave a Ping of the server without an answer (RFC 6455, section 5.5.3).
    #[must_use]
    pub const fn ping_interval(mut self, time: Duration) -> Self {
        self.settings.ping = Some(time);
        self
    }

    /// What runs the tasks of streams, and tells the time: needed only where no layer further out inserts a
    /// [`Session`](tunnel_core::Session), whose runtime it is otherwise.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.settings.runtime = Some(runtime);
        self
    }
}

impl<S> Layer<S> for UpgradeLayer {
    type Service = Upgrade<S>;

    fn layer(&self, inner: S) -> Upgrade<S> {
        Upgrade::with(inner, self.settings.clone())
    }
}
