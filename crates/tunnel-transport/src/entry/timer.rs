//! hyper's timer for the heads of one connection of HTTP/1.1.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt;

use crate::runtime;

/// Makes sleeps that use one timer of tokio, one after the other.
///
/// hyper begins to wait for a head behind each response, and stops when the head has come. A timer that is registered and cancelled
/// for each request costs more than one that goes off too early now and then, and is then set anew.
#[derive(Clone, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Option<Timer>>>);

type Timer = Pin<Box<tokio::time::Sleep>>;

impl HeadTimer {
    fn spare(&self) -> MutexGuard<'_, Option<Timer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep {
            deadline: deadline.into(),
            timer: None,
            of: self.clone(),
        })
    }

    fn now(&self) -> Instant {
        runtime::now().into_std()
    }
}

impl fmt::Debug for HeadTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadTimer").finish_non_exhaustive()
    }
}

/// Has a timer of its own from its first poll on, and leaves it to the next one.
struct Sleep {
    deadline: tokio::time::Instant,
    /// It may have been set for a wait that is long over, but never goes off after the deadline.
    timer: Option<Timer>,
    of: HeadTimer,
}

impl Sleep {
    fn timer(&mut self) -> &mut Timer {
        let Self { deadline, timer, of } = self;
        timer.get_or_insert_with(|| match mem::take(&mut *of.spare()) {
            Some(mut timer) => {
                if timer.deadline() > *deadline {
                    timer.as_mut().reset(*deadline);
                }
                timer
            }
            None => Box::pin(tokio::time::sleep_until(*deadline)),
        })
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let timer = self.timer();
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            *self.of.spare() = Some(timer);
        }
    }
}

impl rt::Sleep for Sleep {}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer as _;
    use tokio::time::{Instant, advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_sleep_ends_at_its_own_time() {
        let timer = HeadTimer::default();
        let start = Instant::now();
        // Some end, some are dropped first, and the times between them grow and shrink.
        for (seconds, stops) in [
            (10, true),
            (10, false),
            (3, true),
            (20, true),
            (2, false),
            (2, false),
            (9, true),
        ] {
            let begun = Instant::now();
            let sleep = timer.sleep(seconds * SECOND);
            let ended = timeout(if stops { SECOND } else { 100 * SECOND }, sleep).await;
            assert_eq!(ended.is_err(), stops);
            assert_eq!(begun.elapsed(), if stops { SECOND } else { seconds * SECOND });
            advance(SECOND).await;
        }
        assert_eq!(start.elapsed(), 25 * SECOND);
        assert!(timer.spare().is_some(), "the one timer is there");
    }

    #[tokio::test(start_paused = true)]
    async fn two_at_once_do_not_disturb_each_other() {
        let timer = HeadTimer::default();
        let start = Instant::now();
        let wait = async |seconds: u32| {
            timer.sleep(seconds * SECOND).await;
            assert_eq!(start.elapsed(), seconds * SECOND);
        };
        tokio::join!(wait(5), wait(3), wait(7));
    }
}
