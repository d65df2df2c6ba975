//! The end of what outlives the credentials that opened it.

use std::time::{Duration, SystemTime};

use http::Extensions;
use tokio::time::Instant;
use tunnel_core::{Cause, Initiator, Principal, TunnelError, route::Expiry};

/// When an exchange of this caller has to be over: `grace` after the credentials have expired, as the wall clock tells it now. None
/// if they do not expire, or later than the clock can tell.
pub(super) fn end(principal: &Principal, grace: Duration) -> Option<Instant> {
    let end = principal.expires()?.checked_add(grace)?;
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}

/// Tells those who carry streams of other protocols, unless a layer further out has told them an earlier end.
pub(super) fn tell(extensions: &mut Extensions, end: Instant) {
    let mine = Expiry(end.into_std());
    let outer = extensions.get().copied();
    extensions.insert(outer.map_or(mine, |outer: Expiry| outer.min(mine)));
}

pub(super) fn expired() -> TunnelError {
    TunnelError::new(
        Cause::Unauthenticated,
        Initiator::Caller,
        "the credentials expired",
    )
}
