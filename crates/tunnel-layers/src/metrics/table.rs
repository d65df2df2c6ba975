//! A table that is read for each exchange, and written a few times in the life of the process.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

/// Values by key, bounded: keys beyond the bound share one value.
pub(super) struct Table<K, V> {
    map: ArcSwap<HashMap<K, Arc<V>>>,
    /// Who makes a value holds this.
    making: Mutex<()>,
    max: usize,
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            map: ArcSwap::from_pointee(HashMap::new()),
            making: Mutex::new(()),
            max,
        }
    }

    /// The value for `key`. If there is none, and room for another one, it is made; without room, that of `other` is taken, which is
    /// always made.
    pub(super) fn get(&self, key: &K, other: impl FnOnce() -> K, make: impl FnOnce(&K) -> V) -> Arc<V> {
        if let Some(value) = self.map.load().get(key) {
            return Arc::clone(value);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let map = self.map.load_full();
        let key = if map.len() >= self.max && !map.contains_key(key) {
            other()
        } else {
            key.clone()
        };
        if let Some(value) = map.get(&key) {
            return Arc::clone(value);
        }
        let value = Arc::new(make(&key));
        let mut more = HashMap::clone(&map);
        more.insert(key, Arc::clone(&value));
        self.map.store(Arc::new(more));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_the_bound_share_a_value() {
        let table = Table::new(2);
        let get = |key: u32| *table.get(&key, || 99, |key| *key);
        assert_eq!([1, 2, 3, 4, 1].map(get), [1, 2, 99, 99, 1]);
        assert_eq!(table.map.load().len(), 3);
    }
}
