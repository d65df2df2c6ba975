//! A table that is read for each exchange, and written a few times in the life of the process.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;

/// Values by key, bounded: keys beyond the bound share one value. A value stays, and has a number, so that an exchange can say where it
/// counts without a reference count, which takes as long as all the counting.
pub(super) struct Table<K, V> {
    numbers: ArcSwap<HashMap<K, u32>>,
    values: Values<V>,
    /// Who makes a value holds this.
    making: Mutex<()>,
    max: usize,
}

/// Values by number. Each part has room for as many as all before it, and one more.
struct Values<V>([OnceLock<Box<[OnceLock<V>]>>; u32::BITS as usize]);

impl<V> Values<V> {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; u32::BITS as usize])
    }

    /// Which part, and where in it.
    #[inline]
    const fn place(number: u32) -> (usize, usize) {
        let part = number.saturating_add(1).ilog2();
        (part as usize, (number.saturating_add(1) - (1 << part)) as usize)
    }

    #[inline]
    fn get(&self, number: u32) -> Option<&V> {
        let (part, place) = Self::place(number);
        self.0[part].get()?.get(place)?.get()
    }

    /// There is none with this number yet.
    fn set(&self, number: u32, value: V) {
        let (part, place) = Self::place(number);
        let part = self.0[part].get_or_init(|| (0..1_u64 << part).map(|_| OnceLock::new()).collect());
        // Whoever came first with this number would be right as well.
        let _ = part[place].set(value);
    }
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            numbers: ArcSwap::from_pointee(HashMap::new()),
            values: Values::new(),
            making: Mutex::new(()),
            max,
        }
    }

    /// The number of the value for `key`. If there is none, and room for another one, it is made; without room, that of `other` is
    /// taken, which is always made.
    pub(super) fn number(&self, key: &K, other: impl FnOnce() -> K, make: impl FnOnce(&K) -> V) -> u32 {
        if let Some(number) = self.numbers.load().get(key) {
            return *number;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = self.numbers.load_full();
        let key = if numbers.len() >= self.max && !numbers.contains_key(key) {
            other()
        } else {
            key.clone()
        };
        if let Some(number) = numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        self.values.set(number, make(&key));
        let mut more = HashMap::clone(&numbers);
        more.insert(key, number);
        self.numbers.store(Arc::new(more));
        number
    }

    /// The value that has this number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&V> {
        self.values.get(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_the_bound_share_a_value() {
        let table = Table::new(2);
        let get = |key: u32| *table.get(table.number(&key, || 99, |key| *key)).unwrap();
        assert_eq!([1, 2, 3, 4, 1].map(get), [1, 2, 99, 99, 1]);
        assert_eq!(table.numbers.load().len(), 3);
    }

    #[test]
    fn a_value_keeps_its_number_however_many_come() {
        let table = Table::new(1_000);
        let numbers: Vec<_> = (0..1_000)
            .map(|key: u32| table.number(&key, || 0, |key| *key))
            .collect();
        let values: Vec<_> = numbers
            .iter()
            .map(|number| *table.get(*number).unwrap())
            .collect();
        assert_eq!(values, (0..1_000).collect::<Vec<_>>());
        assert_eq!((table.get(1_000), table.get(u32::MAX)), (None, None));
    }
}
