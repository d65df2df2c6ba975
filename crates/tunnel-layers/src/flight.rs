//! Work that many wait for and one does.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

/// Work that is under way, by what it is for. Each is a task of its own, so that it goes on when those who wait for it leave.
pub(crate) struct Flights<K, V> {
    max: usize,
    waiting: Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>,
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// At most so many at a time.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            waiting: Mutex::default(),
        })
    }

    /// Whether somebody does the work for this key.
    #[cfg(any(feature = "auth-jwt", feature = "credentials"))]
    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.contains_key(key)
    }

    /// Waits for the work for this key, which is begun if it is not under way; none if there is too much of it. If the work
    /// panics, the receiver fails.
    ///
    /// It spawns a task on the tokio runtime that polls it.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &K,
        begin: impl FnOnce() -> F,
    ) -> Option<oneshot::Receiver<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(others) = waiting.get_mut(key) {
                others.push(sender);
                return Some(receiver);
            }
            if waiting.len() >= self.max {
                return None;
            }
            waiting.insert(key.clone(), vec![sender]);
        }
        // Made here, so that those who wait are told even if the task is dropped before it runs.
        let landing = Landing {
            flights: self.clone(),
            key: key.clone(),
        };
        let work = begin();
        drop(tokio::spawn(async move {
            let value = work.await;
            for waits in landing.take() {
                // One that has left.
                let _ = waits.send(value.clone());
            }
        }));
        Some(receiver)
    }
}

/// Ends the work for a key, however it ends.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    fn take(&self) -> Vec<oneshot::Sender<V>> {
        let mut waiting = self
            .flights
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&self.key).unwrap_or_default()
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_does_the_work_and_all_get_it() {
        let flights: Arc<Flights<u8, u8>> = Flights::new(1);
        let begun = Arc::new(AtomicUsize::new(0));
        let (finish, finished) = oneshot::channel();
        let mut finished = Some(finished);
        let mut join = |key| {
            flights.join(&key, || {
                begun.fetch_add(1, Ordering::SeqCst);
                let finished = finished.take().expect("begun once");
                async move { finished.await.expect("it is finished") }
            })
        };
        let all: Vec<_> = (0..3).map(|_| join(1).expect("under way")).collect();
        assert!(join(2).is_none(), "more than one at a time");
        finish.send(7).unwrap();
        for waits in all {
            assert_eq!(waits.await, Ok(7));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(flights.waiting.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn it_goes_on_when_nobody_waits() {
        let flights: Arc<Flights<u8, u8>> = Flights::new(1);
        let (done, is_done) = oneshot::channel();
        drop(flights.join(&1, || async move {
            tokio::task::yield_now().await;
            let _ = done.send(());
            1
        }));
        assert_eq!(is_done.await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let flights: Arc<Flights<u8, u8>> = Flights::new(1);
        let waits = flights.join(&1, || async { panic!("on purpose") }).unwrap();
        assert!(waits.await.is_err());
        assert!(flights.join(&1, || async { 2 }).unwrap().await == Ok(2));
    }
}
