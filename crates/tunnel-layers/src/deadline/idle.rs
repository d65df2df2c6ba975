//! A time that begins with each wait.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Measures how long one wait takes: only while somebody waits, so that a slow reader is not mistaken for a slow writer.
pub(super) struct Idle {
    limit: Option<Duration>,
    /// Made when somebody first waits, and kept from wait to wait. Boxed, so that a body that may be moved stays one.
    sleep: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Idle {
    pub(super) const fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            sleep: None,
            waits: false,
        }
    }

    /// What was waited for has come.
    pub(super) const fn moved(&mut self) {
        self.waits = false;
    }

    /// Begins a wait, or goes on with it; ready when it takes too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.waits {
            self.waits = true;
            // Beyond what the clock can tell there is no limit worth a timer.
            match Instant::now().checked_add(limit) {
                Some(end) => sleep.as_mut().reset(end),
                None => self.limit = None,
            }
        }
        sleep.as_mut().poll(cx)
    }
}
