//! What the protocol needs of its surroundings.

use std::{fmt, pin::Pin, time::Instant};

use crate::id::RequestId;

/// A task that can be spawned.
pub type BoxTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time, random bits and tasks, given to each session by the transport, so that neither this crate nor any layer needs a
/// runtime of its own.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Runs `task` to its end, or until the runtime stops.
    fn spawn(&self, task: BoxTask);

    /// A monotonic clock.
    fn now(&self) -> Instant;

    /// Ends when the clock has reached `at`.
    fn sleep_until(&self, at: Instant) -> BoxTask;

    /// An id that nobody has used before, for an exchange that begins now, which is what [`now`](Self::now) has just said.
    fn request_id(&self, now: Instant) -> RequestId;

    /// Random bytes that nobody can guess: for the masks and handshake keys of WebSocket (RFC 6455, section 10.3).
    fn random(&self) -> [u8; 16];
}
