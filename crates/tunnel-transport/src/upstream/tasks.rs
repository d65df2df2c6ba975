//! What drives the connections of an upstream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::task::AbortHandle;

use crate::upstream::bare::Bell;

/// Finished ones are forgotten when there are as many as this, or twice as many as ran the last time.
const FIRST_SWEEP: usize = 32;

/// Tasks that end all at once when they have to. It costs nothing while they run.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    state: Mutex<State>,
    /// Those that these belong to, and end with.
    all: Option<Arc<Self>>,
}

#[derive(Debug, Default)]
struct State {
    handles: Vec<Handle>,
    sweep_at: usize,
    aborted: bool,
}

/// What ends a connection.
#[derive(Clone, Debug)]
enum Handle {
    Task(AbortHandle),
    /// Of one without a task, as long as that is open.
    Bare(Weak<Bell>),
}

impl Handle {
    fn is_finished(&self) -> bool {
        match self {
            Self::Task(task) => task.is_finished(),
            Self::Bare(bell) => bell.strong_count() == 0,
        }
    }

    fn abort(&self) {
        match self {
            Self::Task(task) => task.abort(),
            Self::Bare(bell) => {
                if let Some(bell) = bell.upgrade() {
                    bell.cut();
                }
            }
        }
    }
}

impl Tasks {
    /// Some of them, which can end by themselves.
    pub(super) fn part(all: &Arc<Self>) -> Self {
        Self {
            state: Mutex::default(),
            all: Some(Arc::clone(all)),
        }
    }

    pub(super) fn add(&self, task: AbortHandle) {
        self.keep(Handle::Task(task));
    }

    /// Ends the exchange on a connection that has no task as well.
    pub(super) fn add_bare(&self, bell: &Arc<Bell>) {
        self.keep(Handle::Bare(Arc::downgrade(bell)));
    }

    fn keep(&self, handle: Handle) {
        if let Some(all) = &self.all {
            all.keep(handle.clone());
        }
        let mut state = self.lock();
        if state.aborted {
            handle.abort();
            return;
        }
        if state.handles.len() >= state.sweep_at.max(FIRST_SWEEP) {
            state.handles.retain(|handle| !handle.is_finished());
            state.sweep_at = state.handles.len() * 2;
        }
        state.handles.push(handle);
    }

    /// Ends them, and those that are added from now on.
    pub(super) fn abort(&self) {
        let handles = {
            let mut state = self.lock();
            state.aborted = true;
            std::mem::take(&mut state.handles)
        };
        for handle in handles {
            handle.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finished_tasks_are_forgotten_and_late_ones_end_too() {
        let tasks = Tasks::default();
        for _ in 0..1_000 {
            let task = tokio::spawn(async {});
            tasks.add(task.abort_handle());
            task.await.unwrap();
        }
        assert!(tasks.lock().handles.len() <= FIRST_SWEEP + 1);
        let endless = || tokio::spawn(std::future::pending::<()>());
        let (early, late) = (endless(), endless());
        tasks.add(early.abort_handle());
        tasks.abort();
        tasks.add(late.abort_handle());
        assert!(early.await.unwrap_err().is_cancelled());
        assert!(late.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn a_part_ends_by_itself_and_with_all() {
        let all = Arc::new(Tasks::default());
        let parts = [Tasks::part(&all), Tasks::part(&all)];
        let endless = parts.each_ref().map(|part| {
            let task = tokio::spawn(std::future::pending::<()>());
            part.add(task.abort_handle());
            task
        });
        let [first, second] = endless;
        parts[0].abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(!second.is_finished());
        all.abort();
        assert!(second.await.unwrap_err().is_cancelled());
    }
}
