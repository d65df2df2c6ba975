use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Measures how long one wait takes, however often there is one. The timer is made at the first wait and set anew only when it
/// fires, so a wait that ends in time costs a look at the clock.
pub(super) struct Idle {
    limit: Option<Duration>,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    /// `None` means for ever.
    pub(super) const fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            since: None,
            sleep: None,
        }
    }

    /// Another limit, for the wait that goes on too.
    pub(super) const fn set_limit(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    /// What was waited for has come.
    pub(super) const fn moved(&mut self) {
        self.since = None;
    }

    /// Begins a wait, or goes on with it; ready when it takes too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        // Beyond what the clock can tell there is no limit.
        let Some(end) = since.checked_add(limit) else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            // It may have been set for a wait that is long over.
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_the_whole_time() {
        let mut idle = Idle::new(Some(LIMIT));
        for _ in 0..5 {
            let wait = poll_fn(|cx| idle.poll_over(cx));
            assert!(timeout(Duration::from_secs(9), wait).await.is_err());
            idle.moved();
            advance(Duration::from_secs(3)).await;
        }
        let start = Instant::now();
        poll_fn(|cx| idle.poll_over(cx)).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_may_change_in_the_middle() {
        let mut idle = Idle::new(Some(LIMIT));
        let start = Instant::now();
        let wait = poll_fn(|cx| idle.poll_over(cx));
        assert!(timeout(Duration::from_secs(2), wait).await.is_err());
        idle.set_limit(Some(Duration::from_secs(5)));
        poll_fn(|cx| idle.poll_over(cx)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));

        let mut idle = Idle::new(None);
        let wait = poll_fn(|cx| idle.poll_over(cx));
        assert!(timeout(1_000 * LIMIT, wait).await.is_err());
    }
}
