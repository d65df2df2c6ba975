//! What WebSockets may do.

use serde::Deserialize;
use tunnel_layers::upgrade::UpgradeLayer;

use super::units::Time;

/// Both are off unless they are set.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebSocket {
    idle_timeout: Option<Time>,
    ping_interval: Option<Time>,
}

impl WebSocket {
    pub(super) fn layer(&self) -> UpgradeLayer {
        let mut layer = UpgradeLayer::new();
        if let Some(timeout) = self.idle_timeout {
            layer = layer.idle_timeout(timeout.0);
        }
        if let Some(interval) = self.ping_interval {
            layer = layer.ping_interval(interval.0);
        }
        layer
    }
}
