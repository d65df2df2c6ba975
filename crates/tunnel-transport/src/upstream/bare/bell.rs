use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Wakes whoever has a connection just now: an exchange, or what looks after those that are idle.
#[derive(Default)]
pub(in crate::upstream) struct Bell {
    /// Woken by the next ring, and then gone: who is woken looks, and tells again whom to wake if that is not all.
    owner: Mutex<Option<Waker>>,
    /// Changed under the lock, as is the next one.
    has_rung: AtomicBool,
    is_cut: AtomicBool,
}

impl Bell {
    /// From now on `owner` is woken. Whether the connection must not be used any more.
    pub(super) fn hand_to(&self, owner: Option<&Waker>) -> bool {
        give(&mut self.lock(), owner);
        self.is_cut()
    }

    /// The same, and forgets that it has rung.
    pub(super) fn hush_for(&self, owner: Option<&Waker>) -> bool {
        let mut known = self.lock();
        give(&mut known, owner);
        self.has_rung.store(false, Ordering::Relaxed);
        self.is_cut()
    }

    /// Whether it has rung since it was hushed.
    pub(super) fn has_rung(&self) -> bool {
        self.has_rung.load(Ordering::Acquire)
    }

    /// Whether the connection must not be used any more.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Ends the exchange that has the connection.
    pub(in crate::upstream) fn cut(&self) {
        {
            let _owner = self.lock();
            self.is_cut.store(true, Ordering::Release);
        }
        self.ring();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let owner = {
            let mut owner = self.lock();
            self.has_rung.store(true, Ordering::Release);
            owner.take()
        };
        if let Some(owner) = owner {
            owner.wake();
        }
    }
}

fn give(known: &mut Option<Waker>, owner: Option<&Waker>) {
    match (known, owner) {
        (Some(known), Some(owner)) => known.clone_from(owner),
        (known, owner) => *known = owner.cloned(),
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::task::spawn;

    use super::*;

    /// A task that has the bell.
    fn owner(bell: &Bell) -> tokio_test::task::Spawn<std::future::Pending<()>> {
        let mut task = spawn(std::future::pending());
        task.enter(|cx, _| bell.hand_to(Some(cx.waker())));
        task
    }

    #[test]
    fn whoever_has_it_is_woken_and_nobody_else() {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let first = owner(&bell);
        let second = owner(&bell);
        waker.wake_by_ref();
        assert!(!first.is_woken() && second.is_woken());
        assert!(bell.has_rung());
        assert!(!bell.hush_for(None) && !bell.has_rung());
        waker.wake();
        assert!(!first.is_woken() && bell.has_rung());
    }

    #[test]
    fn a_cut_wakes_and_is_told() {
        let bell = Bell::default();
        let first = owner(&bell);
        bell.cut();
        assert!(first.is_woken() && bell.is_cut() && bell.hand_to(None));
    }
}
