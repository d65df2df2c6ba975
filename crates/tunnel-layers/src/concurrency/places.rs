//! Places: how many there are, who has one, and who stands in line for one.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use super::state::{Answer, Bounds, State, Ticket, Wake};
use crate::key::Key;

/// The places of one layer: so many in all, and for a key so many of these as whoever asks says.
///
/// Places are given first come, first served: nobody who comes later gets a place that somebody waits for. Who waits for a place
/// of a key holds no place of the whole meanwhile, so one key that has all of its own keeps nobody else waiting. One lock
/// guards it all; it is never held while somebody is woken.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<State>>);

/// What somebody gets who asks for a place.
pub(super) enum Asked {
    Place(Place),
    Line(InLine),
    /// All places are taken, and the line is as long as it may be.
    Full,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(State::new(bounds))))
    }

    /// Asks for a place; if `key` is given, for one of so many of that key.
    pub(super) fn ask(&self, key: Option<(Key, usize)>) -> Asked {
        let answer = self.lock().ask(key);
        match answer {
            Answer::Place => Asked::Place(self.place(key.map(|(key, _)| key))),
            Answer::Line(ticket) => Asked::Line(InLine {
                places: self.clone(),
                ticket: Some(ticket),
            }),
            Answer::Nothing => Asked::Full,
        }
    }

    /// How many places are taken, and how many stand in line.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.taken(), state.queued())
    }

    /// A place that has been taken.
    fn place(&self, key: Option<Key>) -> Place {
        Place {
            places: self.clone(),
            key,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it gives is dropped, and who may go on is woken, when the lock is free: either may run what takes the lock.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Wake) -> T) {
        let mut wake = Wake::default();
        let given = change(&mut self.lock(), &mut wake);
        drop((given, wake));
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Places")
            .field("taken", &state.taken())
            .field("queued", &state.queued())
            .field("keys", &state.keys())
            .finish()
    }
}

/// A place; it is free again when this is dropped.
pub(super) struct Place {
    places: Places,
    key: Option<Key>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.change(|state, wake| state.give_back(self.key, wake));
    }
}

/// Somebody's turn will come. Dropping it leaves the line.
pub(super) struct InLine {
    places: Places,
    /// None when the turn has come.
    ticket: Option<Ticket>,
}

impl InLine {
    /// Ready with a place when the turn has come.
    pub(super) fn poll_place(&mut self, cx: &Context<'_>) -> Poll<Place> {
        let Some(ticket) = self.ticket else {
            return Poll::Pending;
        };
        let mut waker = Some(cx.waker().clone());
        let key = ready!(self.places.lock().poll(ticket, &mut waker));
        self.ticket = None;
        Poll::Ready(self.places.place(key))
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.places.change(|state, wake| state.leave(ticket, wake));
        }
    }
}
