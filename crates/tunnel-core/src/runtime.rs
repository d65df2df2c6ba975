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

    /// An id that nobody has used before.
    fn request_id(&self) -> RequestId;
}
