//! Maps by request id.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use crate::id::RequestId;

/// A map by [`RequestId`].
pub(crate) type IdMap<T> = HashMap<RequestId, T, IdState>;

/// Hashes ids, each map with a key of its own.
///
/// An id is 16 bytes, so its hash needs one multiplication and no general hash. A peer chooses the ids of the exchanges that it
/// opens, but to make them meet in one bucket it would have to know the 128 bits of the key, which never leave the process and
/// of which no answer depends; and a map never has more entries than the settings allow exchanges.
#[derive(Clone, Debug)]
pub(crate) struct IdState {
    key: [u64; 2],
}

impl Default for IdState {
    fn default() -> Self {
        // Whoever wants unpredictable keys of the standard library hashes with its random state.
        let state = RandomState::new();
        Self {
            key: [state.hash_one(0_u8), state.hash_one(1_u8)],
        }
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher {
            key: self.key,
            hash: 0,
        }
    }
}

/// The hasher of an [`IdState`].
#[derive(Clone, Debug)]
pub(crate) struct IdHasher {
    key: [u64; 2],
    hash: u64,
}

impl IdHasher {
    /// Both halves of the product of both halves of the id, each mixed with its key.
    fn fold(&mut self, id: u128) {
        let [high, low] = [(id >> 64) as u64, id as u64];
        let product = u128::from(high ^ self.key[0]) * u128::from(low ^ self.key[1]);
        self.hash ^= (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for IdHasher {
    fn write_u128(&mut self, id: u128) {
        self.fold(id);
    }

    /// Ids come by `write_u128`; anything else is right, and slow.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.fold(u128::from(*byte) | u128::from(self.hash) << 64);
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ids() -> impl Iterator<Item = RequestId> {
        // The ids of one millisecond, of which only one byte at a time differs.
        (0..10_usize).flat_map(|at| {
            (0..=255_u8).map(move |byte| {
                let mut random = [0; 10];
                random[at] = byte;
                RequestId::from_parts(1_700_000_000_000, random)
            })
        })
    }

    #[test]
    fn ids_that_are_alike_spread() {
        let state = IdState::default();
        let ids: HashSet<_> = ids().collect();
        let full: HashSet<u64> = ids.iter().map(|id| state.hash_one(id)).collect();
        assert_eq!(full.len(), ids.len(), "no two of so few have one hash");
        // What the map looks at: the upper seven bits, and some of the lower ones.
        for buckets in [
            ids.iter()
                .map(|id| state.hash_one(id) >> 57)
                .collect::<HashSet<_>>(),
            ids.iter().map(|id| state.hash_one(id) & 127).collect(),
        ] {
            assert!(buckets.len() > 100, "{} of 128 buckets", buckets.len());
        }
    }

    #[test]
    fn each_map_has_its_own_order() {
        let id = RequestId::from_parts(1, [1; 10]);
        let (a, b) = (IdState::default(), IdState::default());
        assert_ne!(a.hash_one(id), b.hash_one(id));
        assert_eq!(a.hash_one(id), a.clone().hash_one(id));
    }
}
