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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        Protocol,
        exchange::{ExchangePhase, ExchangeStatus},
        session::{
            Session,
            tests::{
                body::{Feed, empty},
                pair::{Pair, get},
            },
        },
    };

    fn only(session: &Session) -> ExchangeStatus {
        let mut all = session.oldest(10);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn the_oldest_come_first_and_no_more_than_are_wanted() {
        let pair = Pair::new();
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push(pair.gateway.call(get(), empty()));
            pair.runtime.advance(Duration::from_millis(100));
        }
        let session = &pair.gateway.session;
        let told = |limit| {
            let all = session.oldest(limit).into_iter();
            all.map(|status| (status.id, status.age.as_millis()))
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = calls
            .iter()
            .map(|call| call.id)
            .zip([500, 400, 300, 200, 100])
            .collect();
        assert_eq!(told(10), all);
        assert_eq!(told(3), all[..3]);
        assert!(told(0).is_empty());
    }

    #[test]
    fn both_ends_tell_how_far_an_exchange_has_come() {
        let mut pair = Pair::new();
        let (feed, body) = Feed::new();
        feed.push("request");
        let call = pair.gateway.call(get(), body);
        pair.drive();
        let (here, there) = (only(&pair.gateway.session), only(&pair.agent.session));
        assert_eq!(
            (here.phase, there.phase),
            (ExchangePhase::Waiting, ExchangePhase::Waiting)
        );
        assert_eq!(
            (here.sent_bytes, there.received_bytes, there.unread),
            (7, 7, 7 + 64)
        );
        assert!(here.is_opener && !there.is_opener && !here.has_sent && !there.has_received);
        let (answering, response) = Feed::new();
        answering.push("answer");
        let answer = pair.agent.answer(response);
        feed.end();
        pair.drive();
        let (here, there) = (only(&pair.gateway.session), only(&pair.agent.session));
        assert_eq!(
            (here.phase, there.phase),
            (ExchangePhase::Answering, ExchangePhase::Answering)
        );
        assert!(here.has_sent && there.has_received && !here.has_received && !there.has_sent);
        assert_eq!((here.received_bytes, there.sent_bytes), (6, 6));
        answering.end();
        let _readers = (call.reader.all(), answer.reader.all());
        pair.drive();
        assert!(pair.gateway.session.oldest(1).is_empty());
    }

    #[test]
    fn the_rule_is_told_where_it_is_known() {
        let pair = Pair::new();
        let session = &pair.gateway.session;
        for rule in [None, Some("first")] {
            let _halves = session
                .open_for(rule.map(Into::into), Protocol::Http, None, true)
                .unwrap();
            assert_eq!(only(session).rule.as_deref(), rule);
        }
    }
}
