//! Where an upstream's failures become [`TunnelError`]s. Their texts go to outside clients, so no address stands in them.

use std::time::Duration;

use tunnel_core::{BoxError, Cause, Initiator, Sent, TunnelError, error::cause_ref};

/// After so long another try makes sense where connections were short.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// No connection could be made.
pub(super) fn unreachable(source: impl Into<BoxError>) -> TunnelError {
    TunnelError::new(
        Cause::Upstream,
        Initiator::Peer,
        "the upstream could not be reached",
    )
    .with_sent(Sent::No)
    .with_source(source)
}

/// It could not be reached just now, and is not dialled again so soon.
pub(super) fn let_be() -> TunnelError {
    unreachable("dials have failed, and the next one waits").with_retry_after(RETRY_AFTER)
}

/// None of its endpoints may be used: what health checks have found is no accident of this request.
pub(super) fn no_endpoint() -> TunnelError {
    TunnelError::new(
        Cause::NoEndpoint,
        Initiator::Peer,
        "no endpoint of the upstream is healthy",
    )
    .with_sent(Sent::No)
    .with_retry_after(RETRY_AFTER)
}

/// Its name has not been found yet.
pub(super) fn no_address() -> TunnelError {
    unreachable("no name of the upstream has an address").with_retry_after(RETRY_AFTER)
}

/// Its pool was closed.
pub(super) fn closed() -> TunnelError {
    TunnelError::new(
        Cause::Draining,
        Initiator::Tunnel,
        "the upstream is not used any more",
    )
    .with_sent(Sent::No)
}

/// An operator has taken all of its endpoints out of use.
pub(super) fn drained() -> TunnelError {
    TunnelError::new(
        Cause::Draining,
        Initiator::Tunnel,
        "the upstream is drained: no endpoint takes anything new",
    )
    .with_sent(Sent::No)
}

/// As many connections as allowed are busy.
pub(super) fn overloaded() -> TunnelError {
    TunnelError::new(
        Cause::Overloaded,
        Initiator::Tunnel,
        "every connection to the upstream is busy",
    )
    .with_sent(Sent::No)
    .with_retry_after(RETRY_AFTER)
}

/// The upstream does not take extended CONNECT.
pub(super) fn not_upgradable() -> TunnelError {
    TunnelError::new(
        Cause::BadUpgrade,
        Initiator::Peer,
        "the upstream takes no upgrades over HTTP/2 (RFC 8441)",
    )
    .with_sent(Sent::No)
}

/// What the upstream answered is neither an upgrade nor a refusal.
pub(super) fn bad_upgrade(message: &'static str) -> TunnelError {
    TunnelError::new(Cause::BadUpgrade, Initiator::Peer, message)
}

/// The request cannot be written down for an upstream.
pub(super) fn malformed(source: impl Into<BoxError>) -> TunnelError {
    TunnelError::new(
        Cause::Malformed,
        Initiator::Caller,
        "the request has no valid target",
    )
    .with_sent(Sent::No)
    .with_source(source)
}

/// The connection was lost before anything of the request had been written.
pub(super) fn unsent(source: hyper::Error) -> TunnelError {
    TunnelError::new(
        Cause::Upstream,
        Initiator::Peer,
        "the upstream closed the connection",
    )
    .with_sent(Sent::No)
    .with_source(source)
}

/// The response ended without its end.
pub(super) fn cut_short() -> TunnelError {
    TunnelError::new(Cause::Upstream, Initiator::Peer, "the upstream broke off")
}

/// The same, where the connection says why.
pub(super) fn broke_off(source: std::io::Error) -> TunnelError {
    cut_short().with_sent(Sent::Yes).with_source(source)
}

/// The exchange broke, before its response or within. Whose fault it was, [`Gate::blame`] knows.
///
/// [`Gate::blame`]: crate::upstream::gate::Gate::blame
pub(super) fn broken(source: hyper::Error) -> TunnelError {
    // RFC 9113, section 8.7: a refused stream was not processed.
    let reset = cause_ref::<h2::Error>(&source).and_then(h2::Error::reason);
    let sent = match reset {
        Some(h2::Reason::REFUSED_STREAM) => Sent::Refused,
        _ => Sent::Yes,
    };
    TunnelError::new(Cause::Upstream, Initiator::Peer, "the upstream broke off")
        .with_sent(sent)
        .with_source(source)
}
