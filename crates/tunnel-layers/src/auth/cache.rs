//! Answers that are remembered for a time.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

/// At most so many answers. Who comes when it is full takes the place of the one that came first: what has been dead for long
/// stands in front, and nobody searches.
pub(super) struct Cache<K, V> {
    max: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    found: HashMap<K, (V, Instant)>,
    /// The keys of `found`, each once, in the order in which they came.
    order: VecDeque<K>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            entries: Mutex::new(Entries {
                found: HashMap::new(),
                order: VecDeque::new(),
            }),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = entries.found.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, until: Instant) {
        if self.max == 0 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.found.get_mut(&key) {
            *entry = (value, until);
            return;
        }
        if entries.found.len() >= self.max
            && let Some(first) = entries.order.pop_front()
        {
            entries.found.remove(&first);
        }
        entries.order.push_back(key.clone());
        entries.found.insert(key, (value, until));
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        let entries = self.entries.lock().unwrap();
        (entries.found.len(), entries.order.len())
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_forgotten_when_its_time_is_over() {
        let cache = Cache::new(2);
        cache.put("a", 1, Instant::now() + SECOND);
        assert_eq!(cache.get(&"a"), Some(1));
        tokio::time::advance(SECOND).await;
        assert_eq!(cache.get(&"a"), None);
        cache.put("a", 2, Instant::now() + SECOND);
        assert_eq!((cache.get(&"a"), cache.len()), (Some(2), (1, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_holds_more_than_it_may() {
        let cache = Cache::new(3);
        for key in 0..100 {
            cache.put(key, key, Instant::now() + SECOND);
            cache.put(key % 7, key, Instant::now() + SECOND);
            let (found, order) = cache.len();
            assert!(found == order && found <= 3);
        }
        let none = Cache::new(0);
        none.put(1, 1, Instant::now() + SECOND);
        assert_eq!(none.len(), (0, 0));
    }
}
