//! Locks that a panic elsewhere does not poison.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// Locks `mutex`. Every critical section of this crate leaves its data whole at each step, so poison is ignored.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers the waker of the one task that polls.
pub(crate) fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

/// Remembers the waker of one of several tasks that poll.
pub(crate) fn watch(watchers: &mut Vec<Waker>, waker: &Waker) {
    if !watchers.iter().any(|known| known.will_wake(waker)) {
        watchers.push(waker.clone());
    }
}

/// Wakes, once nothing is locked.
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
