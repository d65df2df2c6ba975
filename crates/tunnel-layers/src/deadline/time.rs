//! How much time an exchange has.

use std::{cell::OnceCell, time::Duration};

use http::Request;
use tokio::time::Instant;
use tunnel_core::{Limit, Routed, Sent, Timeouts, TunnelError, route::Deadline};

use super::over;
use crate::{
    admission, clock,
    grpc_timeout::{self, End},
    reject::Dialect,
};

/// What one exchange has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// When it has to be over.
    pub(super) end: Option<Instant>,
    pub(super) head: Option<Duration>,
    /// When the head has to be there, unless pieces of the request's body put that off.
    pub(super) head_end: Option<Instant>,
    pub(super) request_idle: Option<Duration>,
    /// Somebody has said something of the request's body, be it that it has no limit: what the server would do by itself does
    /// not hold.
    pub(super) rules_upload: bool,
    pub(super) response_idle: Option<Duration>,
}

impl Plan {
    /// Whether anything of the exchange has a limit.
    pub(super) const fn is_bound(&self) -> bool {
        self.end.is_some()
            || self.head.is_some()
            || self.request_idle.is_some()
            || self.response_idle.is_some()
    }

    /// Whether it matters how the request's body goes.
    pub(super) const fn watches_upload(&self) -> bool {
        self.head.is_some() || self.request_idle.is_some()
    }
}

/// Finds out how much time the exchange has, and tells it to those further in.
///
/// # Errors
///
/// A `grpc-timeout` that cannot be read, or a time that is over already.
pub(super) fn plan<B>(
    request: &mut Request<B>,
    dialect: Dialect,
    default: &Timeouts,
) -> Result<Plan, TunnelError> {
    let routed = request.extensions().get::<Routed>();
    let timeouts = routed.map_or(*default, |routed| routed.timeouts.or(*default));
    let bound = |timeout: Option<Limit<Duration>>| timeout.and_then(Limit::bound);
    let head = bound(timeouts.head);
    let now = OnceCell::new();
    let now = || *now.get_or_init(clock::now);
    Ok(Plan {
        end: whole(request, dialect, bound(timeouts.whole), now)?,
        head,
        // Beyond what the clock can tell there is no limit.
        head_end: head.and_then(|time| now().checked_add(time)),
        request_idle: bound(timeouts.request_idle),
        rules_upload: timeouts.request_idle.is_some(),
        response_idle: bound(timeouts.response_idle),
    })
}

/// When the exchange has to be over. A gRPC request tells it to those further in as well.
fn whole<B>(
    request: &mut Request<B>,
    dialect: Dialect,
    timeout: Option<Duration>,
    now: impl Fn() -> Instant,
) -> Result<Option<Instant>, TunnelError> {
    let bound = timeout.and_then(|time| end(request, time));
    let asked = match dialect {
        Dialect::Http => None,
        Dialect::Grpc => asked(request)?,
    };
    let Some(end) = bound.into_iter().chain(asked).min() else {
        return Ok(None);
    };
    if end <= now() {
        return Err(over().with_sent(Sent::No));
    }
    if dialect == Dialect::Grpc {
        grpc_timeout::write(request.headers_mut(), end);
        request.extensions_mut().insert(End(end));
    }
    tell(request, end);
    Ok(Some(end))
}

/// Puts [`Deadline`] into the extensions, unless a layer further out has put an earlier one there.
fn tell<B>(request: &mut Request<B>, end: Instant) {
    let mine = Deadline(end.into_std());
    let outer = request.extensions().get().copied();
    request
        .extensions_mut()
        .insert(outer.map_or(mine, |outer: Deadline| outer.min(mine)));
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
    let start = admission::arrival(request.extensions()).unwrap_or_else(clock::now);
    start.checked_add(time)
}
