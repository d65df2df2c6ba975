//! What must hold of a queue at any time.

use std::collections::HashSet;

use super::{Class, Queue, weight};
use crate::id::RequestId;

impl Queue {
    #[track_caller]
    pub(crate) fn check(&self) {
        for (class, line) in [(Class::Small, &self.small), (Class::Bulk, &self.bulk)] {
            let messages = self
                .exchanges
                .values()
                .flat_map(|pending| pending.messages.iter());
            let of_class = messages.filter(|queued| queued.class() == class);
            let bytes: usize = of_class
                .inspect(|queued| assert_eq!(queued.weight, weight(&queued.message.payload)))
                .map(|queued| queued.weight)
                .sum();
            assert_eq!(line.bytes, bytes, "the bytes of {class:?} messages");
            let turns: HashSet<_> = line.turns.iter().copied().collect();
            assert_eq!(turns.len(), line.turns.len(), "an exchange has one turn");
            assert_eq!(
                turns,
                self.exchanges_first_in(class),
                "the turns of {class:?} messages"
            );
        }
        let listed: HashSet<_> = self.control.iter().copied().collect();
        assert_eq!(listed.len(), self.control.len(), "an exchange is listed once");
        let with_control = self.exchanges.iter().filter(|(_, pending)| pending.has_control());
        assert_eq!(listed, with_control.map(|(id, _)| *id).collect());
        assert!(self.exchanges.values().all(|pending| !pending.is_empty()));
    }

    fn exchanges_first_in(&self, class: Class) -> HashSet<RequestId> {
        let first = |id: &RequestId| self.exchanges[id].messages.first();
        let ids = self.exchanges.keys().copied();
        ids.filter(|id| first(id).is_some_and(|queued| queued.class() == class))
            .collect()
    }

    /// The credit that an exchange's queued messages cost, and its pending window update.
    pub(crate) fn queued_of(&self, id: RequestId) -> (usize, usize) {
        self.exchanges.get(&id).map_or((0, 0), |pending| {
            let cost = pending
                .messages
                .iter()
                .map(|queued| queued.message.payload.cost())
                .sum();
            (cost, pending.window as usize)
        })
    }
}
