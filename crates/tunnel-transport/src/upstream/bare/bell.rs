use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// Wakes whoever has a connection just now: an exchange, or what looks after those that are idle.
#[derive(Default)]
pub(in crate::upstream) struct Bell(Mutex<State>);

#[derive(Default)]
struct State {
    owner: Option<Waker>,
    has_rung: bool,
    is_cut: bool,
}

/// What has happened on a connection before it changed hands.
pub(super) struct Told {
    /// Whether somebody else was woken.
    pub(super) has_rung: bool,
    /// Whether the connection must not be used any more.
    pub(super) is_cut: bool,
}

impl Bell {
    /// From now on `owner` is woken.
    pub(super) fn hand_to(&self, owner: Option<&Waker>) -> Told {
        let mut state = self.lock();
        match (&mut state.owner, owner) {
            (Some(known), Some(owner)) => known.clone_from(owner),
            (known, owner) => *known = owner.cloned(),
        }
        Told {
            has_rung: state.has_rung,
            is_cut: state.is_cut,
        }
    }

    pub(super) fn has_rung(&self) -> bool {
        self.lock().has_rung
    }

    /// Forgets that it has rung.
    pub(super) fn hush(&self) {
        self.lock().has_rung = false;
    }

    /// Ends the exchange that has the connection.
    pub(in crate::upstream) fn cut(&self) {
        self.lock().is_cut = true;
        self.ring();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let owner = {
            let mut state = self.lock();
            state.has_rung = true;
            state.owner.clone()
        };
        if let Some(owner) = owner {
            owner.wake();
        }
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
        bell.hush();
        assert!(!bell.hand_to(None).has_rung);
        waker.wake();
        assert!(!first.is_woken() && bell.has_rung());
    }

    #[test]
    fn a_cut_wakes_and_is_told() {
        let bell = Bell::default();
        let first = owner(&bell);
        bell.cut();
        assert!(first.is_woken() && bell.hand_to(None).is_cut);
    }
}
