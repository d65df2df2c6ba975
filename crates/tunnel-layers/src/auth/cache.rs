//! Answers that are remembered for a time.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;
use tunnel_core::Principal;

/// The most answers that one authenticator remembers, of one kind.
pub(super) const MAX_REMEMBERED: usize = 10_000;

/// The most bytes of names and claims that are remembered with them: about as much as the table itself.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// At most so many answers, and bytes of them. Who comes when it is full takes the place of those that came first: what has been
/// dead for long stands in front, and nobody searches.
pub(super) struct Cache<K, V> {
    max: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    found: HashMap<K, Entry<V>>,
    /// The keys of `found`, each once, in the order in which they came.
    order: VecDeque<K>,
    /// What all of them weigh.
    bytes: usize,
}

struct Entry<V> {
    value: V,
    until: Instant,
}

/// What an answer takes beside its place, in bytes.
pub(super) trait Weight {
    fn bytes(&self) -> usize;
}

impl Weight for Principal {
    fn bytes(&self) -> usize {
        let text = |text: &str| text.len() + size_of::<Box<str>>();
        let claims = self.claims().map(|(name, values)| {
            let values: usize = values.iter().map(|value| text(value)).sum();
            text(name) + values
        });
        text(self.name()) + claims.sum::<usize>()
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Weight> Cache<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            entries: Mutex::new(Entries {
                found: HashMap::new(),
                order: VecDeque::new(),
                bytes: 0,
            }),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.found.get(key)?;
        (Instant::now() < entry.until).then(|| entry.value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, until: Instant) {
        let bytes = value.bytes();
        if self.max == 0 || bytes > MAX_BYTES {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = &mut *entries;
        entries.bytes += bytes;
        match entries.found.insert(key.clone(), Entry { value, until }) {
            Some(old) => entries.bytes -= old.value.bytes(),
            None => entries.order.push_back(key),
        }
        while entries.found.len() > self.max || entries.bytes > MAX_BYTES {
            let Some(first) = entries.order.pop_front() else {
                break;
            };
            if let Some(gone) = entries.found.remove(&first) {
                entries.bytes -= gone.value.bytes();
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize, usize) {
        let entries = self.entries.lock().unwrap();
        (entries.found.len(), entries.order.len(), entries.bytes)
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    impl Weight for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_forgotten_when_its_time_is_over() {
        let cache = Cache::new(2);
        cache.put("a", 1, Instant::now() + SECOND);
        assert_eq!(cache.get(&"a"), Some(1));
        tokio::time::advance(SECOND).await;
        assert_eq!(cache.get(&"a"), None);
        cache.put("a", 2, Instant::now() + SECOND);
        assert_eq!((cache.get(&"a"), cache.len()), (Some(2), (1, 1, 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_holds_more_than_it_may() {
        let cache = Cache::new(3);
        for key in 0..100 {
            cache.put(key, key, Instant::now() + SECOND);
            cache.put(key % 7, key, Instant::now() + SECOND);
            let (found, order, _) = cache.len();
            assert!(found == order && found <= 3);
        }
        let none = Cache::new(0);
        none.put(1, 1, Instant::now() + SECOND);
        assert_eq!(none.len(), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_holds_weighs_no_more_than_it_may() {
        let cache = Cache::new(100);
        let until = Instant::now() + SECOND;
        for key in 0..10 {
            cache.put(key, MAX_BYTES / 4, until);
        }
        assert_eq!(cache.len(), (4, 4, MAX_BYTES));
        assert_eq!((cache.get(&5), cache.get(&6)), (None, Some(MAX_BYTES / 4)));
        // One in the place of itself, and one that takes all of it.
        cache.put(9, 1, until);
        assert_eq!(cache.len(), (4, 4, MAX_BYTES / 4 * 3 + 1));
        cache.put(10, MAX_BYTES, until);
        assert_eq!(cache.len(), (1, 1, MAX_BYTES));
        cache.put(11, MAX_BYTES + 1, until);
        assert_eq!((cache.get(&10), cache.get(&11)), (Some(MAX_BYTES), None));
    }

    #[test]
    fn a_principal_weighs_what_is_said_of_it() {
        let bare = Principal::new("alice", "test");
        let more = bare.clone().with_claim("scope", ["read", "write"]);
        assert_eq!(more.bytes() - bare.bytes(), 5 + 4 + 5 + 3 * size_of::<Box<str>>());
    }
}
