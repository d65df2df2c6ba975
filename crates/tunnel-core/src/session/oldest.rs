//! Which exchanges are open.

use std::{collections::BinaryHeap, sync::Arc, time::Instant};

use super::Session;
use crate::{
    exchange::{Exchange, ExchangeStatus},
    id::RequestId,
    sync::lock,
};

/// An exchange in the order of age: the youngest is the greatest.
struct ByAge(Instant, RequestId, Arc<Exchange>);

impl ByAge {
    fn key(&self) -> (Instant, RequestId) {
        (self.0, self.1)
    }
}

impl PartialEq for ByAge {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ByAge {}

impl PartialOrd for ByAge {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAge {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Session {
    /// The exchanges that have been open for the longest time, at most `limit` of them, the oldest first.
    ///
    /// The table is locked only while they are found, which takes one look at each that is open and no memory beyond the limit;
    /// what is told of each is read afterwards, one by one.
    #[must_use]
    pub fn oldest(&self, limit: usize) -> Vec<ExchangeStatus> {
        let mut found = BinaryHeap::new();
        {
            let table = lock(&self.0.table);
            for (id, exchange) in table.exchanges.iter() {
                let key = (exchange.since(), *id);
                if found.len() < limit {
                    found.push(ByAge(key.0, key.1, exchange.clone()));
                } else if let Some(mut youngest) = found.peek_mut()
                    && key < youngest.key()
                {
                    *youngest = ByAge(key.0, key.1, exchange.clone());
                }
            }
        }
        let now = self.now();
        let sorted = found.into_sorted_vec();
        sorted
            .iter()
            .map(|ByAge(_, _, exchange)| exchange.status(now))
            .collect()
    }
}
