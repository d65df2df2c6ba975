//! The places that a limit allows, and who waits for one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

use crate::sync::{lock, watch};

/// The most tasks that are remembered; when there are more, all are woken to look again. Those that have gone away stay until then.
const MAX_WATCHERS: usize = 64;

/// How many places are taken. Every operation that decides who waits is sequentially consistent: whoever frees a place sees who
/// waits, or whoever begins to wait sees that it is free.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: AtomicUsize,
    /// Spares those who free a place the lock.
    is_watched: AtomicBool,
    watchers: Mutex<Vec<Waker>>,
}

impl Places {
    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Wakes the task when a place is free again; look once more after this, before you wait.
    pub(crate) fn watch(&self, waker: &Waker) {
        let mut watchers = lock(&self.watchers);
        let stale = if watchers.len() < MAX_WATCHERS {
            Vec::new()
        } else {
            std::mem::take(&mut *watchers)
        };
        watch(&mut watchers, waker);
        self.is_watched.store(true, Ordering::SeqCst);
        drop(watchers);
        stale.into_iter().for_each(Waker::wake);
    }

    fn free(&self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
        if !self.is_watched.load(Ordering::SeqCst) {
            return;
        }
        let watchers = {
            let mut watchers = lock(&self.watchers);
            self.is_watched.store(false, Ordering::SeqCst);
            std::mem::take(&mut *watchers)
        };
        watchers.into_iter().for_each(Waker::wake);
    }
}

/// One of the places that a limit allows; free again when it drops.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Place {
    /// Takes a place if there are fewer than `limit` taken.
    pub(crate) fn take(places: &Arc<Places>, limit: usize) -> Option<Self> {
        let free = |now| if now < limit { Some(now + 1) } else { None };
        places
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .ok()?;
        Some(Self(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.free();
    }
}
