//! Places: how many there are, who has one, and who stands in line for one.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::key::Key;

/// The places of one layer: so many in all, and for a key so many of these as whoever asks says.
///
/// Places are given first come, first served: nobody who comes later gets a place that somebody waits for. Who waits for a place
/// of a key holds no place of the whole meanwhile, so one key that has all of its own keeps nobody else waiting. One lock
/// guards it all; it is never held while somebody is woken.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<State>>);

/// How many places there are, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) places: usize,
    pub(super) queue: usize,
    pub(super) queue_of_key: usize,
}

struct State {
    bounds: Bounds,
    free: usize,
    /// Those who have what they need of their key, and wait for a place of the whole.
    line: BTreeSet<Ticket>,
    keys: HashMap<Key, OfKey>,
    /// Everybody who has a ticket.
    waiting: HashMap<Ticket, Waiting>,
    /// Those who stand in a line.
    queued: usize,
    next: Ticket,
}

/// Given in the order of arrival, and never twice.
type Ticket = u64;

/// A key, as long as somebody has a place of it.
struct OfKey {
    taken: usize,
    places: usize,
    line: BTreeSet<Ticket>,
}

struct Waiting {
    key: Option<Key>,
    stage: Stage,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the line of its key.
    OfKey,
    /// In the line of the whole.
    OfAll,
    /// It has a place, and has not been told.
    Served,
}

/// Whom a change lets go on: woken when the lock is free again.
#[must_use]
#[derive(Default)]
struct Wake(Vec<Waker>);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// What somebody gets who asks for a place.
pub(super) enum Asked {
    Place(Place),
    Line(InLine),
    /// All places are taken, and the line is as long as it may be.
    Full,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: bounds.places,
            bounds,
            line: BTreeSet::new(),
            keys: HashMap::new(),
            waiting: HashMap::new(),
            queued: 0,
            next: 0,
        })))
    }

    /// Asks for a place; if `key` is given, for one of so many of that key.
    pub(super) fn ask(&self, key: Option<(Key, usize)>) -> Asked {
        let mut state = self.lock();
        let asked = state.ask(key);
        drop(state);
        let key = key.map(|(key, _)| key);
        let places = self.clone();
        match asked {
            Some(None) => Asked::Place(Place { places, key }),
            Some(Some(ticket)) => Asked::Line(InLine {
                places,
                ticket: Some(ticket),
            }),
            None => Asked::Full,
        }
    }

    /// How many places are taken, and how many stand in line.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.bounds.places - state.free, state.queued)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State, &mut Wake)) {
        let mut wake = Wake::default();
        change(&mut self.lock(), &mut wake);
    }
}

impl State {
    /// None if there is neither a place nor room in line; else the ticket, unless there was a place.
    fn ask(&mut self, key: Option<(Key, usize)>) -> Option<Option<Ticket>> {
        if let Some((key, places)) = key
            && !self.take_of_key(key, places)
        {
            return self.queue(key.into(), Stage::OfKey).map(Some);
        }
        if self.free > 0 {
            self.free -= 1;
            return Some(None);
        }
        let key = key.map(|(key, _)| key);
        let ticket = self.queue(key, Stage::OfAll);
        if ticket.is_none()
            && let Some(key) = key
        {
            // Nobody waits for it: it was free just now.
            self.give_back_of_key(key, &mut Wake::default());
        }
        ticket.map(Some)
    }

    /// Takes a place of this key, if one is free.
    fn take_of_key(&mut self, key: Key, places: usize) -> bool {
        let places = places.max(1);
        match self.keys.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(OfKey {
                    taken: 1,
                    places,
                    line: BTreeSet::new(),
                });
                true
            }
            Entry::Occupied(mut entry) => {
                let of_key = entry.get_mut();
                of_key.places = places;
                let is_free = of_key.taken < places && of_key.line.is_empty();
                of_key.taken += usize::from(is_free);
                is_free
            }
        }
    }

    fn queue(&mut self, key: Option<Key>, stage: Stage) -> Option<Ticket> {
        if self.queued >= self.bounds.queue {
            return None;
        }
        let ticket = self.next;
        match (stage, key.and_then(|key| self.keys.get_mut(&key))) {
            (Stage::OfKey, Some(of_key)) => {
                if of_key.line.len() >= self.bounds.queue_of_key {
                    return None;
                }
                of_key.line.insert(ticket);
            }
            _ => {
                self.line.insert(ticket);
            }
        }
        self.next += 1;
        self.queued += 1;
        let waiting = Waiting {
            key,
            stage,
            waker: None,
        };
        self.waiting.insert(ticket, waiting);
        Some(ticket)
    }

    /// A place is free again.
    fn give_back(&mut self, key: Option<Key>, wake: &mut Wake) {
        self.free += 1;
        self.serve(wake);
        if let Some(key) = key {
            self.give_back_of_key(key, wake);
        }
    }

    /// Gives free places to those who stand in line for one.
    fn serve(&mut self, wake: &mut Wake) {
        while self.free > 0
            && let Some(ticket) = self.line.pop_first()
        {
            self.free -= 1;
            self.queued -= 1;
            if let Some(waiting) = self.waiting.get_mut(&ticket) {
                waiting.stage = Stage::Served;
                wake.0.extend(waiting.waker.take());
            }
        }
    }

    /// A place of this key is free again: whoever is first in its line goes over to the line of the whole.
    fn give_back_of_key(&mut self, key: Key, wake: &mut Wake) {
        let Some(of_key) = self.keys.get_mut(&key) else {
            return;
        };
        of_key.taken -= 1;
        while of_key.taken < of_key.places
            && let Some(ticket) = of_key.line.pop_first()
        {
            of_key.taken += 1;
            self.line.insert(ticket);
            if let Some(waiting) = self.waiting.get_mut(&ticket) {
                waiting.stage = Stage::OfAll;
            }
        }
        if of_key.taken == 0 {
            self.keys.remove(&key);
        }
        self.serve(wake);
    }

    /// Somebody does not wait any longer.
    fn leave(&mut self, ticket: Ticket, wake: &mut Wake) {
        let Some(Waiting { key, stage, .. }) = self.waiting.remove(&ticket) else {
            return;
        };
        match (stage, key) {
            (Stage::Served, _) => self.give_back(key, wake),
            (Stage::OfAll, _) => {
                self.line.remove(&ticket);
                self.queued -= 1;
                if let Some(key) = key {
                    self.give_back_of_key(key, wake);
                }
            }
            (Stage::OfKey, key) => {
                if let Some(of_key) = key.and_then(|key| self.keys.get_mut(&key)) {
                    of_key.line.remove(&ticket);
                }
                self.queued -= 1;
            }
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Places")
            .field("bounds", &state.bounds)
            .field("free", &state.free)
            .field("queued", &state.queued)
            .field("keys", &state.keys.len())
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
        let mut state = self.places.lock();
        let Some(waiting) = state.waiting.get_mut(&ticket) else {
            return Poll::Pending;
        };
        if waiting.stage != Stage::Served {
            waiting.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let key = waiting.key;
        state.waiting.remove(&ticket);
        drop(state);
        self.ticket = None;
        Poll::Ready(Place {
            places: self.places.clone(),
            key,
        })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.places.change(|state, wake| state.leave(ticket, wake));
        }
    }
}
