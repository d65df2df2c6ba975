//! What hyper spawns for a connection of HTTP/2, and how long each of it may wait for the client.
//!
//! hyper asks a response's body for nothing while its stream's window is closed, and has no limit for that: a client that
//! takes nothing of a hundred responses, and answers PINGs, would hold a hundred exchanges for ever. So the task of each
//! stream is watched from outside. Our own future and body, which it polls, leave a mark; a poll that leaves none and is not
//! over waits for the client.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project::pin_project;
use tunnel_core::turn::Turns;

use crate::entry::{
    activity::{Activity, Running},
    idle::Idle,
};

/// What the task of a stream did last in one poll, as far as its response is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing that we can see.
    Nothing,
    /// It got the head, or a piece of the body.
    Moved,
    /// It waits for the service, or for its body.
    Waits,
}

thread_local! {
    static LAST: Cell<Mark> = const { Cell::new(Mark::Nothing) };
}

impl Mark {
    pub(super) const fn of<T>(polled: &Poll<T>) -> Self {
        match polled {
            Poll::Ready(_) => Self::Moved,
            Poll::Pending => Self::Waits,
        }
    }

    /// Leaves this mark for whoever watches the task that runs.
    pub(super) fn leave(self) {
        LAST.set(self);
    }
}

/// Spawns on tokio, and watches what it spawns.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    limit: Option<Duration>,
    activity: Activity,
}

impl StreamExecutor {
    /// Ends a task that waits longer than `limit` for its client.
    pub(super) const fn new(limit: Option<Duration>, activity: Activity) -> Self {
        Self { limit, activity }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Turns::new(Watched::new(future, self.limit, self.activity.run())));
    }
}

/// The task of one stream. Dropping what it wraps resets the stream.
#[pin_project]
struct Watched<F> {
    #[pin]
    inner: F,
    /// The client has been given something, and has yet to take it.
    has_given: bool,
    idle: Idle,
    _running: Running,
}

impl<F> Watched<F> {
    const fn new(inner: F, limit: Option<Duration>, running: Running) -> Self {
        Self {
            inner,
            has_given: false,
            idle: Idle::new(limit),
            _running: running,
        }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        Mark::Nothing.leave();
        if this.inner.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match LAST.get() {
            Mark::Nothing => {}
            Mark::Moved => {
                *this.has_given = true;
                this.idle.moved();
            }
            Mark::Waits => {
                *this.has_given = false;
                this.idle.moved();
            }
        }
        if *this.has_given && this.idle.poll_over(cx).is_ready() {
            tracing::debug!("a client took nothing of a response for too long");
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn watched<F: Future<Output = ()>>(inner: F) -> Watched<F> {
        Watched::new(inner, Some(LIMIT), Activity::new().run())
    }

    /// Leaves this mark when it is polled for the first time, and waits.
    fn once(mark: Mark) -> impl Future<Output = ()> {
        let mut mark = Some(mark);
        poll_fn(move |_| {
            if let Some(mark) = mark.take() {
                mark.leave();
            }
            Poll::Pending
        })
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_waits_for_the_client_is_ended() {
        let start = Instant::now();
        watched(once(Mark::Moved)).await;
        assert_eq!(start.elapsed(), LIMIT);
        for mark in [Mark::Nothing, Mark::Waits] {
            assert!(timeout(10 * LIMIT, watched(once(mark))).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_lives() {
        let slow = async {
            for _ in 0..20 {
                let mut marked = false;
                let mut wait = Box::pin(sleep(LIMIT - Duration::from_secs(1)));
                poll_fn(|cx| {
                    if !std::mem::replace(&mut marked, true) {
                        Mark::Moved.leave();
                    }
                    wait.as_mut().poll(cx)
                })
                .await;
            }
            std::future::pending::<()>().await;
        };
        let start = Instant::now();
        watched(slow).await;
        // It is over the limit only behind the last piece.
        assert_eq!(
            start.elapsed(),
            20 * (LIMIT - Duration::from_secs(1)) + Duration::from_secs(1)
        );
    }
}
