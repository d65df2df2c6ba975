//! How a gateway and its agents watch each other.

use serde::Deserialize;
use serde_saphyr::Location;
use tunnel_transport::Heartbeat;

use super::{error::Checker, units::Time};

/// `heartbeat:` of a gateway's `agents`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHeartbeat {
    interval: Option<Time>,
    timeout: Option<Time>,
}

impl RawHeartbeat {
    pub(super) fn check(self, place: Location, checker: &mut Checker<'_>) -> Option<Heartbeat> {
        let Heartbeat { interval, timeout } = Heartbeat::DEFAULT;
        let interval = self.interval.map_or(interval, |time| time.0);
        let timeout = self.timeout.map_or(timeout, |time| time.0);
        if timeout < interval {
            let message =
                "a stream cannot be lost before it was asked: `timeout` must be at least `interval`";
            checker.wrong(place, message);
            return None;
        }
        Some(Heartbeat { interval, timeout })
    }
}
