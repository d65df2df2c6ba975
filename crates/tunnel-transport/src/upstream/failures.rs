//! How long an endpoint that could not be reached is let be.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use crate::Backoff;

/// The dials in a row that have failed.
#[derive(Debug)]
pub(super) struct Failures {
    backoff: Option<Backoff>,
    /// Whether there are any, so that whoever asks need not look closer.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    until: Option<Instant>,
}

impl Failures {
    pub(super) fn new(backoff: Option<Backoff>) -> Self {
        Self {
            backoff,
            any: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Whether the next dial had better wait.
    pub(super) fn is_backing_off(&self) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn failed(&self) {
        let Some(backoff) = &self.backoff else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Dials that ran at the same time have failed together.
        if state.until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        state.in_a_row = state.in_a_row.saturating_add(1);
        state.until = Some(Instant::now() + backoff.delay(state.in_a_row, None));
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn succeeded(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        self.any.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_cap_bounds_the_pause_and_a_success_ends_it() {
        let cap = Duration::from_secs(2);
        let failures = Failures::new(Some(Backoff {
            first: Duration::from_secs(1),
            cap,
        }));
        assert!(!failures.is_backing_off());
        for _ in 0..50 {
            failures.failed();
            tokio::time::advance(cap).await;
            assert!(!failures.is_backing_off());
        }
        // Full jitter makes one pause as short as it likes, but not fifty in a row.
        let paused = (0..50).any(|_| {
            failures.failed();
            failures.is_backing_off()
        });
        assert!(paused);
        failures.succeeded();
        assert!(!failures.is_backing_off());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_backoff_nothing_is_let_be() {
        let failures = Failures::new(None);
        failures.failed();
        assert!(!failures.is_backing_off());
    }
}
