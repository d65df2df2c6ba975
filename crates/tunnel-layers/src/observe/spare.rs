//! What exchanges that have ended leave to the next ones.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::time::Instant;
use tunnel_core::{Record, Recorded};

use super::{
    exchange::{Bodies, Exchange},
    guard::Watched,
};

/// How many exchanges that have ended a thread keeps for those that begin. Each takes about 320 bytes.
const MAX_SPARE: usize = 64;

thread_local! {
    /// What exchanges have left to the next ones of this thread: to allocate it, and to count the references in it, takes as long as all
    /// that is counted of an exchange.
    #[allow(clippy::vec_box, reason = "what is kept is the allocation")]
    static SPARE: RefCell<Vec<Box<Watched>>> = const { RefCell::new(Vec::new()) };
}

impl Watched {
    /// One of which nothing is known.
    pub(super) fn spare(started: Instant) -> Box<Self> {
        // A thread that ends has none.
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        spare.ok().flatten().unwrap_or_else(|| {
            Box::new(Self {
                exchange: Exchange::new(started),
                shared: Arc::default(),
                record: None,
                lifetime: None,
                is_stream: false,
            })
        })
    }

    /// It is over, and stays for the next one, unless somebody still has its record.
    pub(super) fn leave(mut self: Box<Self>) {
        // It was not needed if a layer further out has one.
        self.record = None;
        let Bodies {
            received,
            is_upgrade,
            first: _,
        } = self.shared.kept();
        if is_upgrade.load(Relaxed) || !Recorded::forget(&self.shared) {
            let Some(recorded) = Arc::get_mut(&mut self.shared) else {
                return;
            };
            *recorded = Recorded::default();
        } else {
            // Without an upgrade, nobody has noted which direction was first.
            received.store(0, Relaxed);
        }
        self.record = Some(Record::from(Arc::clone(&self.shared)));
        self.exchange.outer = None;
        self.exchange.watchers.clear();
        self.lifetime = None;
        // What is too much is dropped where nothing is borrowed.
        let mut left = Some(self);
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MAX_SPARE {
                spare.extend(left.take());
            }
        });
    }
}
