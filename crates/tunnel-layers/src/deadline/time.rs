//! How much time an exchange has.

use std::time::Duration;

use http::Request;
use tokio::time::Instant;
use tunnel_core::{Routed, Sent, TunnelError, route::Arrival};

use super::over;
use crate::{
    grpc_timeout::{self, End},
    reject::Dialect,
};

/// When the exchange has to be over. A gRPC request tells it to those further in as well.
///
/// # Errors
///
/// A `grpc-timeout` that cannot be read, or a time that is over already.
pub(super) fn limit<B>(
    request: &mut Request<B>,
    dialect: Dialect,
    default: Option<Duration>,
) -> Result<Option<Instant>, TunnelError> {
    let extensions = request.extensions();
    let rule = extensions
        .get::<Routed>()
        .and_then(|routed| routed.timeouts.whole);
    let bound = rule.or(default).and_then(|time| end(request, time));
    let asked = match dialect {
        Dialect::Http => None,
        Dialect::Grpc => asked(request)?,
    };
    let Some(end) = bound.into_iter().chain(asked).min() else {
        return Ok(None);
    };
    if end <= Instant::now() {
        return Err(over().with_sent(Sent::No));
    }
    if dialect == Dialect::Grpc {
        grpc_timeout::write(request.headers_mut(), end);
        request.extensions_mut().insert(End(end));
    }
    Ok(Some(end))
}

/// The end of the time that the caller gives. A layer of this kind further out has read the field, and has written
/// another.
fn asked<B>(request: &Request<B>) -> Result<Option<Instant>, TunnelError> {
    if let Some(&End(end)) = request.extensions().get() {
        return Ok(Some(end));
    }
    let time = grpc_timeout::read(request.headers())?;
    Ok(time.and_then(|time| end(request, time)))
}

/// The end of a time that began when the request came; none beyond what the clock can tell, which is no limit.
fn end<B>(request: &Request<B>, time: Duration) -> Option<Instant> {
    let arrival = request.extensions().get::<Arrival>();
    let start = arrival.map_or_else(Instant::now, |arrival| Instant::from_std(arrival.0));
    start.checked_add(time)
}
