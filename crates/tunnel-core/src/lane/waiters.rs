//! The line of those who wait for room, first come first served.

use std::{collections::BTreeMap, task::Waker};

/// A place in the line; later places are larger.
pub(crate) type WaiterId = u64;

#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: WaiterId,
    line: BTreeMap<WaiterId, Waker>,
}

impl Waiters {
    /// Whether somebody waits who came before the one at `place` (or before anybody new).
    pub(super) fn is_behind(&self, place: Option<WaiterId>) -> bool {
        let first = self.line.keys().next();
        first.is_some_and(|first| place.is_none_or(|place| *first < place))
    }

    /// Joins the line, or stays in it with a new waker.
    pub(super) fn wait(&mut self, place: Option<WaiterId>, waker: &Waker) -> WaiterId {
        let id = place.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.line
            .entry(id)
            .and_modify(|old| old.clone_from(waker))
            .or_insert_with(|| waker.clone());
        id
    }

    pub(super) fn leave(&mut self, place: WaiterId) {
        self.line.remove(&place);
    }

    pub(super) fn first(&self) -> Option<Waker> {
        self.line.values().next().cloned()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.line).into_values()
    }
}
