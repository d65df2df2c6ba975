//! Who has a place, and who stands in which line: the book that [`Places`](super::places::Places) keeps under its lock.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    mem,
    task::{Poll, Waker},
};

use crate::key::{Key, KeyMap};

/// How many places there are, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) places: usize,
    pub(super) queue: usize,
    pub(super) queue_of_key: usize,
}

/// What is known of places and of those who want them. Nobody who comes later gets a place that somebody waits for.
#[derive(Debug)]
pub(super) struct State {
    bounds: Bounds,
    free: usize,
    /// Those who have what they need of their key, and wait for a place of the whole.
    line: BTreeSet<Ticket>,
    keys: KeyMap<OfKey>,
    /// Everybody who has a ticket.
    waiting: HashMap<Ticket, Waiting>,
    /// Those who stand in a line.
    queued: usize,
    next: Ticket,
}

/// Given in the order of arrival, and never twice.
pub(super) type Ticket = u64;

/// A key, as long as somebody has a place of it.
#[derive(Debug)]
struct OfKey {
    taken: usize,
    places: usize,
    line: BTreeSet<Ticket>,
}

#[derive(Debug)]
struct Waiting {
    key: Option<Key>,
    stage: Stage,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub(super) struct Wake(Vec<Waker>);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// What there is for somebody who asks.
pub(super) enum Answer {
    Place,
    Line(Ticket),
    Nothing,
}

impl State {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            free: bounds.places,
            bounds,
            line: BTreeSet::new(),
            keys: KeyMap::default(),
            waiting: HashMap::new(),
            queued: 0,
            next: 0,
        }
    }

    pub(super) const fn taken(&self) -> usize {
        self.bounds.places - self.free
    }

    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// How many keys somebody has a place of.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Gives a place, or else a ticket; if `key` is given, one of so many of that key.
    pub(super) fn ask(&mut self, key: Option<(Key, usize)>) -> Answer {
        if let Some((key, places)) = key
            && !self.take_of_key(key, places)
        {
            return self.queue(Some(key), Stage::OfKey);
        }
        if self.free > 0 {
            self.free -= 1;
            return Answer::Place;
        }
        let key = key.map(|(key, _)| key);
        let answer = self.queue(key, Stage::OfAll);
        if matches!(answer, Answer::Nothing)
            && let Some(key) = key
        {
            // Nobody waits for what was free just now, so nobody is woken.
            self.give_back_of_key(key, &mut Wake::default());
        }
        answer
    }

    /// Whether the turn of this ticket has come, and for which key; if so, the ticket is gone. Else `waker` is kept, and becomes
    /// the one that was kept before, to be dropped when the lock is free.
    pub(super) fn poll(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> Poll<Option<Key>> {
        let Some(waiting) = self.waiting.get_mut(&ticket) else {
            return Poll::Pending;
        };
        if waiting.stage != Stage::Served {
            mem::swap(&mut waiting.waker, waker);
            return Poll::Pending;
        }
        let key = waiting.key;
        self.waiting.remove(&ticket);
        Poll::Ready(key)
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

    fn queue(&mut self, key: Option<Key>, stage: Stage) -> Answer {
        if self.queued >= self.bounds.queue {
            return Answer::Nothing;
        }
        let ticket = self.next;
        match (stage, key.and_then(|key| self.keys.get_mut(&key))) {
            (Stage::OfKey, Some(of_key)) => {
                if of_key.line.len() >= self.bounds.queue_of_key {
                    return Answer::Nothing;
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
        Answer::Line(ticket)
    }

    /// A place is free again.
    pub(super) fn give_back(&mut self, key: Option<Key>, wake: &mut Wake) {
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
        let Entry::Occupied(mut entry) = self.keys.entry(key) else {
            return;
        };
        let of_key = entry.get_mut();
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
            entry.remove();
        }
        self.serve(wake);
    }

    /// Somebody does not wait any longer. Gives the waker that was kept.
    pub(super) fn leave(&mut self, ticket: Ticket, wake: &mut Wake) -> Option<Waker> {
        let Waiting { key, stage, waker } = self.waiting.remove(&ticket)?;
        match stage {
            Stage::Served => self.give_back(key, wake),
            Stage::OfAll => {
                self.line.remove(&ticket);
                self.queued -= 1;
                if let Some(key) = key {
                    self.give_back_of_key(key, wake);
                }
            }
            Stage::OfKey => {
                if let Some(of_key) = key.and_then(|key| self.keys.get_mut(&key)) {
                    of_key.line.remove(&ticket);
                }
                self.queued -= 1;
            }
        }
        waker
    }
}
