use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

/// How long a connection is used at most: between nine and ten tenths of what was set, so that those which were made together do
/// not end together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life(Option<Duration>);

impl Life {
    pub(super) const fn new(longest: Option<Duration>) -> Self {
        Self(longest)
    }

    /// What was set; without end if nothing was.
    pub(super) fn longest(self) -> Duration {
        self.0.unwrap_or(Duration::MAX)
    }

    /// When a connection that is made now ends.
    pub(super) fn end(self) -> Option<Instant> {
        let longest = self.0?;
        let share = 1.0 - rand::rng().random::<f64>() / 10.0;
        Some(Instant::now() + longest.mul_f64(share))
    }
}
