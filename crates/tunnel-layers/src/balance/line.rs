//! Requests that wait for room: for each group a line, first come, first served.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tunnel_core::GroupName;

/// A group, or those of it that have registered a host.
pub(super) type LineKey = (GroupName, Option<Box<str>>);

/// The lines of one layer. A line is there while somebody stands in it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Mutex<HashMap<LineKey, VecDeque<Waiting>>>,
    /// How many stand in all lines together: spares everybody the lock while that is nobody.
    waiting: AtomicUsize,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Waiting {
    ticket: usize,
    waker: Option<Waker>,
}

impl Lines {
    /// Whether somebody stands in this line, before whom nobody else may take a place.
    pub(super) fn is_waited_for(&self, key: impl FnOnce() -> LineKey) -> bool {
        self.waiting.load(Ordering::Acquire) > 0 && self.lock().contains_key(&key())
    }

    /// Joins a line; `None` if `most` stand there already. Whoever is first looks again: agents that have come wake nobody.
    pub(super) fn join(self: &Arc<Self>, key: LineKey, most: usize) -> Option<Turn> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let (first, is_in) = {
            let mut lines = self.lock();
            let first = lines
                .get_mut(&key)
                .and_then(|line| line.front_mut()?.waker.take());
            if lines.get(&key).map_or(0, VecDeque::len) < most {
                let waiting = Waiting { ticket, waker: None };
                lines.entry(key.clone()).or_default().push_back(waiting);
                self.waiting.fetch_add(1, Ordering::Release);
                (first, true)
            } else {
                (first, false)
            }
        };
        first.into_iter().for_each(Waker::wake);
        if !is_in {
            return None;
        }
        Some(Turn {
            lines: self.clone(),
            key,
            ticket,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LineKey, VecDeque<Waiting>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a line. Dropping it leaves the line, and lets the next one look.
#[derive(Debug)]
pub(super) struct Turn {
    lines: Arc<Lines>,
    key: LineKey,
    ticket: usize,
}

impl Turn {
    /// Ready for who is first.
    pub(super) fn poll_first(&self, cx: &Context<'_>) -> Poll<()> {
        let mut lines = self.lines.lock();
        let line = lines.get_mut(&self.key).into_iter().flatten();
        for (index, waiting) in line.enumerate() {
            if waiting.ticket == self.ticket {
                waiting.waker = Some(cx.waker().clone());
                return if index == 0 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
        }
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (gone, next) = {
            let mut lines = self.lines.lock();
            let Some(line) = lines.get_mut(&self.key) else {
                return;
            };
            let place = line.iter().position(|waiting| waiting.ticket == self.ticket);
            let gone = place.and_then(|place| line.remove(place));
            let next = line.front_mut().and_then(|first| first.waker.take());
            if line.is_empty() {
                lines.remove(&self.key);
            }
            self.lines
                .waiting
                .fetch_sub(usize::from(gone.is_some()), Ordering::Release);
            (gone, next)
        };
        drop(gone);
        next.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_first_and_lines_leave() {
        let lines = Arc::new(Lines::default());
        let key = || ("web".parse().unwrap(), None);
        let cx = Context::from_waker(Waker::noop());
        let first = lines.join(key(), 2).unwrap();
        let second = lines.join(key(), 2).unwrap();
        assert!(lines.join(key(), 2).is_none());
        assert!(lines.join(("api".parse().unwrap(), None), 2).is_some());
        assert!(first.poll_first(&cx).is_ready() && second.poll_first(&cx).is_pending());
        drop(first);
        assert!(second.poll_first(&cx).is_ready() && lines.is_waited_for(key));
        drop(second);
        assert!(!lines.is_waited_for(key) && lines.lock().is_empty());
        assert_eq!(lines.waiting.load(Ordering::Relaxed), 0);
    }
}
