//! The time, as layers take it.

use tokio::time::Instant;
use tunnel_core::turn;

/// The time of this [turn](turn), by the clock of tokio, which tests can stop.
#[inline]
pub(crate) fn now() -> Instant {
    turn::now(ask).into()
}

/// The time now, and of this turn from here on: for who measures what others do.
#[inline]
pub(crate) fn renew() -> Instant {
    turn::renew(ask).into()
}

fn ask() -> std::time::Instant {
    Instant::now().into_std()
}
