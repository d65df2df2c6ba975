//! Time, ids and tasks from tokio.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngCore as _;
use tokio::runtime::Handle;
use tunnel_core::{BoxTask, RequestId, Runtime, turn};

/// The runtime that sessions get: tasks are spawned on the tokio runtime that made it. Layers that need one without a session, such as
/// `UpgradeLayer` in front of an upstream, may be given it.
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    handle: Handle,
    /// A moment by the clock that is never set, and its time since 1970, so that an id needs no look at the other one.
    began: (Instant, Duration),
}

impl TokioRuntime {
    /// That of the caller.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        // A clock before 1970, or one that is set later, costs the ids their order and nothing else.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            handle: Handle::current(),
            began: (clock(), time),
        }
    }
}

impl Runtime for TokioRuntime {
    fn spawn(&self, task: BoxTask) {
        drop(self.handle.spawn(task));
    }

    fn now(&self) -> Instant {
        now().into_std()
    }

    fn sleep_until(&self, at: Instant) -> BoxTask {
        Box::pin(async move {
            tokio::time::sleep_until(at.into()).await;
            // Another thread may have ended this sleep while this turn has gone on, and nobody is to find that it ended too early.
            turn::renew(clock);
        })
    }

    fn request_id(&self, now: Instant) -> RequestId {
        let (instant, time) = self.began;
        let time = time.saturating_add(now.saturating_duration_since(instant));
        RequestId::from_parts(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), random())
    }

    fn random(&self) -> [u8; 16] {
        random()
    }
}

/// The time of this [turn](turn), by the clock of tokio, which tests can stop.
#[inline]
pub(crate) fn now() -> tokio::time::Instant {
    turn::now(clock).into()
}

fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Random bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;
    use tokio_test::{assert_pending, assert_ready, task};
    use tunnel_core::turn::Turns;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_sleep_that_has_ended_did_not_end_too_early() {
        let runtime = TokioRuntime::current();
        let (start, at) = (runtime.now(), runtime.now() + SECOND);
        let mut sleep = task::spawn(runtime.sleep_until(at));
        assert_pending!(sleep.poll());
        advance(2 * SECOND).await;
        Turns::new(poll_fn(|_| {
            // Asked before another thread has ended the sleep.
            turn::renew(|| start);
            assert_eq!(runtime.now(), start, "one time");
            assert_ready!(sleep.poll());
            assert_eq!(runtime.now(), start + 2 * SECOND);
            std::task::Poll::Ready(())
        }))
        .await;
    }
}
