//! The time, asked for once for all that one poll of a task does.
//!
//! To ask the clock takes longer than most of what an exchange does with the answer, and what one poll of a task does takes less time
//! than any of it can tell. So a task of which many are woken for little, such as a connection of an entry, the reader of a lane or what
//! serves an exchange, is made of [turns](Turns): whoever asks for the [time](now) within a poll gets what the first one
//! was told. Libraries of event loops have the same (`uv_now` of libuv).
//!
//! What is measured must not be told an old time because somebody has worked, instead of waiting, since the poll began. So who measures
//! [renews](renew) the time where the work of others has come to its end, and what follows shares that.

use std::{
    cell::Cell,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Instant,
};

use pin_project::pin_project;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::None) };
    /// Goes on by one where a turn begins, and where one ends.
    static NUMBER: Cell<u64> = Cell::new(first_of_thread());
}

/// Where a thread begins to count, so that no two count alike: it has 2^48 numbers, which is years of a turn each microsecond.
fn first_of_thread() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    THREADS.fetch_add(1, Ordering::Relaxed) << 48
}

/// Which turn something is in; another one where a turn within it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u64);

/// The number of this turn; none outside of a turn.
///
/// Within one turn a task is polled once, with one waker. So what said there that it is not ready, and will wake that waker, need not be
/// asked again before the turn is over.
#[inline]
#[must_use]
pub fn number() -> Option<Number> {
    match TURN.get() {
        Turn::None => None,
        Turn::Begun | Turn::At(_) => Some(Number(NUMBER.get())),
    }
}

#[derive(Clone, Copy)]
enum Turn {
    /// What runs here is no turn.
    None,
    /// Nobody has asked yet.
    Begun,
    At(Instant),
}

/// The time of this turn, for which `clock` is asked if nobody has asked yet; what `clock` says outside of a turn.
#[inline]
pub fn now(clock: impl FnOnce() -> Instant) -> Instant {
    match TURN.get() {
        Turn::At(time) => time,
        Turn::Begun => renew(clock),
        Turn::None => clock(),
    }
}

/// What `clock` says, which is the time of this turn from here on.
#[inline]
pub fn renew(clock: impl FnOnce() -> Instant) -> Instant {
    let time = clock();
    // Who is in no turn stays in none: there nobody would say that the time has passed.
    if !matches!(TURN.get(), Turn::None) {
        TURN.set(Turn::At(time));
    }
    time
}

/// A future each poll of which is a turn. Made around what is spawned; one that is polled within another turn begins a turn of its own,
/// and the outer one asks the clock again.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
#[derive(Debug)]
pub struct Turns<F>(#[pin] F);

impl<F> Turns<F> {
    /// Makes each poll of this future a turn.
    pub const fn new(future: F) -> Self {
        Self(future)
    }
}

impl<F: Future> Future for Turns<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _running = Running::begin();
        self.project().0.poll(cx)
    }
}

/// Ends the turn when it is dropped, be it by a panic.
struct Running {
    is_within: bool,
}

impl Running {
    #[inline]
    fn begin() -> Self {
        let outer = TURN.replace(Turn::Begun);
        NUMBER.set(NUMBER.get().wrapping_add(1));
        Self {
            is_within: !matches!(outer, Turn::None),
        }
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        TURN.set(if self.is_within { Turn::Begun } else { Turn::None });
        NUMBER.set(NUMBER.get().wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::poll_fn,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::pin,
        task::Waker,
        time::Duration,
    };

    use super::*;

    /// A clock that goes on by a second each time that it is asked.
    struct Clock {
        start: Instant,
        seconds: Cell<u64>,
    }

    impl Clock {
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
        fn new() -> Self {
            Self {
                start: Instant::now(),
                seconds: Cell::new(0),
            }
        }

        fn ask(&self) -> Instant {
            self.seconds.set(self.seconds.get() + 1);
            self.start + Duration::from_secs(self.seconds.get())
        }

        fn now(&self) -> u64 {
            (now(|| self.ask()) - self.start).as_secs()
        }

        fn renew(&self) -> u64 {
            (renew(|| self.ask()) - self.start).as_secs()
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_poll_has_one_time_and_the_next_one_another() {
        let clock = Clock::new();
        let times = RefCell::new(Vec::new());
        let mut turns = pin!(Turns::new(poll_fn(|_| {
            times.borrow_mut().extend([clock.now(), clock.now()]);
            Poll::<()>::Pending
        })));
        assert_eq!(
            (clock.now(), clock.now()),
            (1, 2),
            "outside the clock is asked each time"
        );
        assert!(poll(turns.as_mut()).is_pending());
        assert_eq!((clock.renew(), clock.now()), (4, 5), "and again outside");
        assert!(poll(turns.as_mut()).is_pending());
        assert_eq!(times.take(), [3, 3, 6, 6]);
    }

    #[test]
    fn who_measures_renews_it_for_those_that_follow() {
        let clock = Clock::new();
        let mut turns = pin!(Turns::new(poll_fn(|_| {
            Poll::Ready([
                clock.now(),
                clock.renew(),
                clock.now(),
                clock.renew(),
                clock.now(),
            ])
        })));
        assert_eq!(poll(turns.as_mut()), Poll::Ready([1, 2, 2, 3, 3]));
    }

    #[test]
    fn a_turn_within_a_turn_has_its_own_time_and_what_follows_is_not_older() {
        let clock = Clock::new();
        let mut turns = pin!(Turns::new(poll_fn(|_| {
            let before = clock.now();
            let mut inner = pin!(Turns::new(poll_fn(|_| Poll::Ready(clock.now()))));
            let within = poll(inner.as_mut());
            Poll::Ready((before, within, clock.now()))
        })));
        assert_eq!(poll(turns.as_mut()), Poll::Ready((1, Poll::Ready(2), 3)));
    }

    #[test]
    fn each_turn_has_a_number_and_what_follows_an_inner_one_has_another() {
        assert_eq!(number(), None);
        let mut seen = Vec::new();
        let mut turns = pin!(Turns::new(poll_fn(|_| {
            let (first, again) = (number(), number());
            assert_eq!(first, again);
            let mut inner = pin!(Turns::new(poll_fn(|_| Poll::Ready(number()))));
            let Poll::Ready(within) = poll(inner.as_mut()) else {
                panic!("it is ready at once");
            };
            seen.extend([first, within, number()]);
            Poll::<()>::Pending
        })));
        assert!(poll(turns.as_mut()).is_pending());
        assert!(poll(turns.as_mut()).is_pending());
        assert_eq!(number(), None);
        for (place, one) in seen.iter().enumerate() {
            assert!(one.is_some());
            assert!(!seen[..place].contains(one), "{seen:?}");
        }
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn two_threads_count_apart() {
        let numbers = || {
            let mut turns = pin!(Turns::new(poll_fn(|_| Poll::Ready(number()))));
            [poll(turns.as_mut()), poll(turns.as_mut())]
        };
        let here = numbers();
        let there = std::thread::spawn(numbers).join().unwrap();
        assert!(here.iter().all(|one| !there.contains(one)));
    }

    #[test]
    fn a_turn_that_panics_is_over() {
        let clock = Clock::new();
        let mut turns = pin!(Turns::new(poll_fn(|_| -> Poll<()> {
            clock.now();
            panic!("a defect of the task");
        })));
        let panicked = catch_unwind(AssertUnwindSafe(|| poll(turns.as_mut())));
        assert!(panicked.is_err());
        assert_eq!((clock.now(), clock.now()), (2, 3));
    }
}
