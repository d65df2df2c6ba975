//! The innermost service of a gateway's stack.

use std::task::{Context, Poll};

use tower_service::Service;
use tunnel_core::{Enqueue, Outgoing, TunnelError};

/// Writes messages onto the `Proxy` stream of the session that they name.
///
/// Always ready, and free to clone: there is nothing in it. Its future waits until the session's lane has room, first come
/// first served; dropping the future leaves the line. Window updates and resets do not pass through it (see [`Outgoing`]).
///
/// # Errors
///
/// The lane is closed, or the exchange was reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct TunnelTransport {
    _private: (),
}

impl TunnelTransport {
    /// A transport. The one of [`Gateway::transport`](crate::Gateway::transport) is no other.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Service<Outgoing> for TunnelTransport {
    type Response = ();
    type Error = TunnelError;
    type Future = Enqueue;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, outgoing: Outgoing) -> Enqueue {
        outgoing.enqueue()
    }
}
