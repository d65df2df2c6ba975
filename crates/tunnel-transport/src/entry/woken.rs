use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use pin_project::pin_project;

/// A future that is polled when it was woken, and not each time that its task is: for what waits beside something that is polled often,
/// and would take several locks each time to find that it still waits. After its end it is polled whenever its task asks, as by itself.
#[pin_project]
pub(super) struct Woken<F> {
    #[pin]
    future: F,
    bell: Arc<Bell>,
    waker: Waker,
    /// What the bell wakes.
    task: Option<Waker>,
}

/// Remembers that the future was woken, and wakes the task.
struct Bell {
    has_rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F> Woken<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell {
            has_rung: AtomicBool::new(true),
            task: Mutex::new(None),
        });
        Self {
            future,
            waker: Waker::from(bell.clone()),
            bell,
            task: None,
        }
    }
}

impl<F: Future> Future for Woken<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Before the bell is looked at: one that rings in between then wakes this task.
        if !this.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *this.task = Some(cx.waker().clone());
            *this.bell.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        if !this.bell.has_rung.load(Ordering::Relaxed) || !this.bell.has_rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = this.future.poll(&mut Context::from_waker(this.waker));
        if polled.is_ready() {
            this.bell.has_rung.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, sync::atomic::AtomicUsize};

    use tokio::sync::Notify;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn it_is_polled_when_it_was_woken_and_wakes_whoever_polled_it_last() {
        let notify = Notify::new();
        let polls = AtomicUsize::new(0);
        let mut notified = pin!(notify.notified());
        let mut woken = pin!(Woken::new(poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            notified.as_mut().poll(cx)
        })));
        let tasks = [0; 2].map(|_| Arc::new(Count(AtomicUsize::new(0))));
        for task in [&tasks[0], &tasks[0], &tasks[1]] {
            let waker = Waker::from(task.clone());
            assert!(woken.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        notify.notify_waiters();
        let wakes = tasks.each_ref().map(|task| task.0.load(Ordering::SeqCst));
        assert_eq!(wakes, [0, 1]);
        let waker = Waker::from(tasks[1].clone());
        assert!(woken.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(polls.load(Ordering::SeqCst), 2);
    }
}
