//! The exchanges of a session that may still carry a message.

use std::{sync::Arc, task::Waker};

use super::late::Late;
use crate::{error::TunnelError, exchange::Exchange, id_map::IdMap, lane::Lane};

/// Where a session is on its way to the end.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Active,
    /// Nothing new; what is open goes on.
    Draining,
    Closed(TunnelError),
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) phase: Phase,
    pub(super) exchanges: IdMap<Arc<Exchange>>,
    pub(super) lanes: Vec<Lane>,
    pub(super) late: Late,
    /// Who waits for the table to be empty.
    pub(super) idle_watchers: Vec<Waker>,
    /// Who waits for the session to close.
    pub(super) close_watchers: Vec<Waker>,
    /// How often the phase, the lanes or what is suspected of them have changed.
    pub(super) changes: u64,
    /// Who waits for the next of those changes.
    pub(super) change_watchers: Vec<Waker>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Active,
            exchanges: IdMap::default(),
            lanes: Vec::new(),
            late: Late::default(),
            idle_watchers: Vec::new(),
            close_watchers: Vec::new(),
            changes: 0,
            change_watchers: Vec::new(),
        }
    }

    /// Whether something could be opened.
    pub(super) fn is_available(&self) -> bool {
        matches!(self.phase, Phase::Active) && self.lanes.iter().any(|lane| !lane.is_closed())
    }

    #[must_use = "the watchers must be woken"]
    pub(super) fn changed(&mut self) -> Vec<Waker> {
        self.changes += 1;
        std::mem::take(&mut self.change_watchers)
    }

    /// The open lane with the fewest bytes queued; one that is suspect only if all are.
    pub(super) fn least_loaded(&self) -> Option<Lane> {
        let mut open = self.lanes.iter().filter(|lane| !lane.is_closed());
        match self.lanes.len() {
            0 | 1 => open.next().cloned(),
            _ => open
                .min_by_key(|lane| (lane.is_suspect(), lane.queued_bytes()))
                .cloned(),
        }
    }
}
