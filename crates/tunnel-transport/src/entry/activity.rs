use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// What runs on a connection of HTTP/2: hyper has no limit for one that carries nothing.
#[derive(Clone)]
pub(super) struct Activity(Arc<State>);

struct State {
    began: Instant,
    /// Streams whose task is not over.
    running: AtomicUsize,
    /// When the last of them ended, in milliseconds from `began`.
    last_millis: AtomicU64,
    is_http1: AtomicBool,
    is_http2: AtomicBool,
    /// Whether the client should go elsewhere.
    is_leaving: AtomicBool,
    /// Told once, when the first request of HTTP/2 has come.
    spoke_http2: Notify,
}

/// Something that runs, until it is dropped.
pub(super) struct Running(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            last_millis: AtomicU64::new(0),
            is_http1: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            spoke_http2: Notify::new(),
        }))
    }

    /// It is HTTP/1.1, whose codec limits the time between two exchanges by itself.
    pub(super) fn is_http1(&self) {
        self.0.is_http1.store(true, Ordering::Relaxed);
    }

    /// It is HTTP/2, of which a request has come.
    pub(super) fn is_http2(&self) {
        let State {
            is_http2,
            spoke_http2,
            ..
        } = &*self.0;
        if !is_http2.load(Ordering::Relaxed) && !is_http2.swap(true, Ordering::Relaxed) {
            spoke_http2.notify_one();
        }
    }

    /// Answers of HTTP/1.1 tell the client to go elsewhere from now on.
    pub(super) fn leave(&self) {
        self.0.is_leaving.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.0.is_leaving.load(Ordering::Relaxed)
    }

    /// Waits for the first request of HTTP/2. One task waits, and no more once it was told.
    pub(super) async fn http2(&self) {
        self.0.spoke_http2.notified().await;
    }

    pub(super) fn run(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Waits until nothing has run for this time. Cancel safe.
    pub(super) async fn idle(&self, limit: Option<Duration>) {
        let mut idle = pin!(self.idle_http2(limit));
        // A connection of HTTP/1.1 needs no timer beyond the first.
        let unless_http1 = |cx: &mut Context<'_>| match self.0.is_http1.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => idle.as_mut().poll(cx),
        };
        poll_fn(unless_http1).await;
    }

    async fn idle_http2(&self, limit: Option<Duration>) {
        let Some(limit) = limit else {
            return std::future::pending().await;
        };
        let mut from = self.0.began;
        loop {
            let Some(end) = from.checked_add(limit) else {
                return std::future::pending().await;
            };
            sleep_until(end).await;
            from = self.quiet_since();
            if from.checked_add(limit).is_some_and(|end| end <= Instant::now()) {
                return;
            }
        }
    }

    fn quiet_since(&self) -> Instant {
        if self.0.running.load(Ordering::Acquire) > 0 {
            return Instant::now();
        }
        self.0.began + Duration::from_millis(self.0.last_millis.load(Ordering::Relaxed))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let state = &self.0.0;
        let millis = state.began.elapsed().as_millis() as u64;
        state.last_millis.fetch_max(millis, Ordering::Relaxed);
        state.running.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn idle_means_that_nothing_runs_for_the_whole_time() {
        let activity = Activity::new();
        let start = Instant::now();
        activity.idle(Some(LIMIT)).await;
        assert_eq!(start.elapsed(), LIMIT);

        let running = activity.run();
        assert!(timeout(10 * LIMIT, activity.idle(Some(LIMIT))).await.is_err());
        drop(running);
        advance(Duration::from_secs(59)).await;
        drop(activity.run());
        let start = Instant::now();
        activity.idle(Some(LIMIT)).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn http1_and_no_limit_are_never_idle() {
        let activity = Activity::new();
        assert!(timeout(10 * LIMIT, activity.idle(None)).await.is_err());
        activity.is_http1();
        assert!(timeout(10 * LIMIT, activity.idle(Some(LIMIT))).await.is_err());
    }
}
