//! A runtime that runs by hand: a clock that stands still, ids in order, and tasks that are polled only when woken.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use crate::{
    id::RequestId,
    runtime::{BoxTask, Runtime},
    sync::lock,
};

/// More polls than any test needs: somebody wakes himself for ever.
const MAX_POLLS: usize = 2_000_000;

/// Remembers that it was woken, and how often.
#[derive(Debug)]
pub(crate) struct Flag {
    woken: AtomicBool,
    wakes: AtomicUsize,
}

impl Flag {
    /// A flag that counts as woken, so that its owner polls a first time.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            woken: AtomicBool::new(true),
            wakes: AtomicUsize::new(0),
        })
    }

    pub(crate) fn take(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task, or the place of one that has ended.
struct Task {
    flag: Arc<Flag>,
    aborted: AtomicBool,
    future: Mutex<Option<BoxTask>>,
}

impl Task {
    /// Polls once. Says whether the task has ended.
    fn poll(&self) -> bool {
        let Some(mut future) = lock(&self.future).take() else {
            return true;
        };
        let waker = Waker::from(self.flag.clone());
        let is_over = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if is_over || self.aborted.load(Ordering::SeqCst) {
            drop(future);
            return true;
        }
        *lock(&self.future) = Some(future);
        false
    }
}

/// A task's result.
pub(crate) struct Join<T> {
    task: Arc<Task>,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> Join<T> {
    /// The result, if there is one.
    pub(crate) fn take(&self) -> Option<T> {
        lock(&self.result).take()
    }

    /// How often the task was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.task.flag.wakes()
    }

    /// Drops the task's future.
    pub(crate) fn abort(&self) {
        self.task.aborted.store(true, Ordering::SeqCst);
        let future = lock(&self.task.future).take();
        drop(future);
    }
}

/// The time, and who waits for a later one.
struct Clock {
    now: Instant,
    sleepers: Vec<Waker>,
}

pub(crate) struct TestRuntime {
    tasks: Mutex<Vec<Arc<Task>>>,
    polls: AtomicUsize,
    now: Arc<Mutex<Clock>>,
    ids: AtomicU64,
}

impl TestRuntime {
    pub(crate) fn new() -> Arc<Self> {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
        let now = Instant::now();
        Arc::new(Self {
            tasks: Mutex::default(),
            polls: AtomicUsize::new(0),
            now: Arc::new(Mutex::new(Clock {
                now,
                sleepers: Vec::new(),
            })),
            ids: AtomicU64::new(1),
        })
    }

    pub(crate) fn advance(&self, time: Duration) {
        let sleepers = {
            let mut clock = lock(&self.now);
            clock.now += time;
            std::mem::take(&mut clock.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn start<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Join<T> {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let task = self.add(Box::pin(async move {
            let value = future.await;
            *lock(&slot) = Some(value);
        }));
        Join { task, result }
    }

    fn add(&self, future: BoxTask) -> Arc<Task> {
        let task = Arc::new(Task {
            flag: Flag::new(),
            aborted: AtomicBool::new(false),
            future: Mutex::new(Some(future)),
        });
        lock(&self.tasks).push(task.clone());
        task
    }

    /// Polls every task that was woken, until none is. Says whether there was any.
    pub(crate) fn run(&self) -> bool {
        let mut any = false;
        loop {
            let woken: Vec<_> = lock(&self.tasks)
                .iter()
                .filter(|task| task.flag.take())
                .cloned()
                .collect();
            if woken.is_empty() {
                return any;
            }
            any = true;
            let polls = self.polls.fetch_add(woken.len(), Ordering::SeqCst);
            assert!(polls < MAX_POLLS, "tasks wake each other for ever");
            let ended: Vec<_> = woken.into_iter().filter(|task| task.poll()).collect();
            if !ended.is_empty() {
                lock(&self.tasks).retain(|task| !ended.iter().any(|other| Arc::ptr_eq(task, other)));
            }
        }
    }

    pub(crate) fn next_id(&self) -> RequestId {
        let next = self.ids.fetch_add(1, Ordering::SeqCst);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&next.to_be_bytes());
        RequestId::from_parts(1_700_000_000_000, random)
    }
}

impl Runtime for TestRuntime {
    fn spawn(&self, task: BoxTask) {
        self.add(task);
    }

    fn now(&self) -> Instant {
        lock(&self.now).now
    }

    fn sleep_until(&self, at: Instant) -> BoxTask {
        let clock = self.now.clone();
        Box::pin(std::future::poll_fn(move |cx| {
            let mut clock = lock(&clock);
            if clock.now >= at {
                return Poll::Ready(());
            }
            clock.sleepers.push(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn request_id(&self, _: Instant) -> RequestId {
        self.next_id()
    }

    fn random(&self) -> [u8; 16] {
        let next = self.ids.fetch_add(1, Ordering::SeqCst);
        let mut random = [0x5a; 16];
        random[..8].copy_from_slice(&next.to_be_bytes());
        random
    }
}

impl fmt::Debug for TestRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestRuntime")
    }
}

/// Polls once, with a waker that nobody listens to.
pub(crate) fn poll_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}
