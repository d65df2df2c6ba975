//! The state of every key, in bounded room.

use std::{
    collections::hash_map::Entry,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use governor::{
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use tokio::time::Instant;

use crate::key::{Key, KeyMap};

/// How many keys are kept, unless the layer says otherwise: about 3 MB, and more callers than one process serves at a time.
pub const DEFAULT_MAX_KEYS: usize = 100_000;

/// The parts of a table, each with a lock of its own, so that threads rarely meet.
const SHARDS: usize = 16;

/// How often a part that is full is searched for keys that may go, at most: the search takes time in proportion to the part,
/// and when a flood of new keys fills the table it finds little.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// For each key the moment, in nanoseconds since `epoch`, when its bucket is full again. A key whose moment is past is as good
/// as unknown, so those are what a sweep removes.
pub(super) struct Table {
    epoch: Instant,
    shards: [Mutex<Shard>; SHARDS],
    max_keys_of_shard: usize,
    /// Some key has found no place since there last was one.
    is_short: AtomicBool,
}

#[derive(Default)]
struct Shard {
    full_at: KeyMap<u64>,
    next_sweep: u64,
}

impl Table {
    /// A table for so many keys; at least one in each of its 16 parts.
    pub(super) fn new(max_keys: usize) -> Self {
        Self {
            epoch: Instant::now(),
            shards: std::array::from_fn(|_| Mutex::default()),
            max_keys_of_shard: (max_keys / SHARDS).max(1),
            is_short: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since the table was made; it goes on for 584 years.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How many keys are kept now.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).full_at.len()).sum()
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        // The map uses the other end of the bits.
        let index = key.bits() >> (u64::BITS - SHARDS.ilog2());
        lock(&self.shards[usize::try_from(index).unwrap_or_default()])
    }

    /// Updates the moment of this key by `f`; none if there is no place for it.
    fn update<T, E>(
        &self,
        key: Key,
        f: impl FnOnce(Option<u64>) -> Result<(T, u64), E>,
    ) -> Option<Result<T, E>> {
        let mut shard = self.shard(key);
        let is_full = shard.full_at.len() >= self.max_keys_of_shard;
        if is_full && !shard.full_at.contains_key(&key) {
            let now = self.now();
            if now >= shard.next_sweep {
                shard.sweep(now);
            }
            if shard.full_at.len() >= self.max_keys_of_shard {
                drop(shard);
                self.tell_short();
                return None;
            }
            self.is_short.store(false, Ordering::Relaxed);
        }
        Some(match shard.full_at.entry(key) {
            Entry::Occupied(mut entry) => f(Some(*entry.get())).map(|(told, full_at)| {
                entry.insert(full_at);
                told
            }),
            Entry::Vacant(entry) => f(None).map(|(told, full_at)| {
                entry.insert(full_at);
                told
            }),
        })
    }
}

impl Table {
    /// Says it once each time that it begins.
    fn tell_short(&self) {
        if self.is_short.swap(true, Ordering::Relaxed) {
            return;
        }
        #[cfg(feature = "tracing")]
        tracing::warn!(
            keys.max = self.max_keys_of_shard * SHARDS,
            "more keys are in use than a rate limit keeps: the rest share one bucket"
        );
    }
}

impl Shard {
    fn sweep(&mut self, now: u64) {
        let interval = u64::try_from(SWEEP_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        self.next_sweep = now.saturating_add(interval);
        self.full_at.retain(|_, full_at| *full_at > now);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("keys", &self.len())
            .field("max_keys", &(self.max_keys_of_shard * SHARDS))
            .finish()
    }
}

/// The part of a table that belongs to one limiter, which counts its time from `start`.
#[derive(Debug)]
pub(super) struct Part {
    table: Arc<Table>,
    start: u64,
    /// Shared by all keys that find no place.
    overflow: InMemoryState,
}

impl Part {
    pub(super) fn new(table: Arc<Table>) -> Self {
        Self {
            start: table.now(),
            table,
            overflow: InMemoryState::default(),
        }
    }
}

impl StateStore for Part {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let in_place = self.table.update(*key, |full_at| {
            let (told, full_at) = f(full_at.map(|at| Nanos::new(at.saturating_sub(self.start))))?;
            Ok((told, full_at.as_u64().saturating_add(self.start)))
        });
        in_place.unwrap_or_else(|| self.overflow.measure_and_replace(&NotKeyed::NonKey, f))
    }
}
