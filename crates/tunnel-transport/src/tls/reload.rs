use std::{
    hash::RandomState,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{task::JoinHandle, time::sleep};

pub(super) use crate::files::DEFAULT_INTERVAL;
use crate::{
    files::{Files, SHORTEST_INTERVAL},
    tls::{Pem, TlsError, pem::Contents},
};

/// Something that is made of PEM files.
pub(super) trait Source: Send + Sync + 'static {
    type Config: Send + Sync + 'static;

    fn pems(&self) -> Vec<&Pem>;

    fn build(&self, contents: &Contents) -> Result<Self::Config, TlsError>;
}

/// What was made of the files when they were last right.
pub(super) struct Reloading<S: Source> {
    source: S,
    current: ArcSwap<S::Config>,
    seen: Mutex<Seen>,
    /// The files, as they were when they were last read.
    watched: Files,
    interval: Duration,
    /// Nothing to watch.
    is_fixed: bool,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

struct Seen {
    state: RandomState,
    fingerprint: u64,
    /// What was wrong the last time, so that it is logged once.
    problem: Option<TlsError>,
}

impl<S: Source> Reloading<S> {
    pub(super) fn load(source: S, interval: Duration) -> Result<Arc<Self>, TlsError> {
        let watched = Files::new();
        source
            .pems()
            .into_iter()
            .filter_map(Pem::path)
            .for_each(|path| watched.note(path));
        let contents = Contents::read(&source.pems())?;
        let state = RandomState::new();
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(source.build(&contents)?),
            seen: Mutex::new(Seen {
                fingerprint: contents.fingerprint(&state),
                state,
                problem: None,
            }),
            watched,
            interval: interval.max(SHORTEST_INTERVAL),
            is_fixed: contents.is_empty(),
            watcher: Mutex::default(),
            source,
        }))
    }

    pub(super) fn source(&self) -> &S {
        &self.source
    }

    pub(super) fn current(&self) -> Arc<S::Config> {
        self.current.load_full()
    }

    /// Reads the files, and says whether they had changed. If they are wrong, everything stays as it is.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let mut seen = lock(&self.seen);
        let changed = self.replace(&mut seen);
        match &changed {
            Ok(true) => {
                tracing::info!(files = ?self.files(), "TLS files have changed: new connections use them");
            }
            Ok(false) if seen.problem.is_some() => {
                tracing::info!(files = ?self.files(), "TLS files are as they were, and right again");
            }
            Ok(false) => {}
            Err(error) if seen.problem.as_ref() != Some(error) => {
                tracing::warn!(%error, "TLS files have changed and are wrong: the old ones stay in use");
            }
            Err(_) => {}
        }
        seen.problem = changed.as_ref().err().cloned();
        changed
    }

    fn replace(&self, seen: &mut Seen) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.source.pems())?;
        let fingerprint = contents.fingerprint(&seen.state);
        if fingerprint == seen.fingerprint {
            return Ok(false);
        }
        self.current.store(Arc::new(self.source.build(&contents)?));
        seen.fingerprint = fingerprint;
        Ok(true)
    }

    /// Whether something was wrong the last time, or somebody looks just now, for whom nobody waits here.
    fn is_wrong(&self) -> bool {
        let seen = self.seen.try_lock();
        seen.map_or(true, |seen| seen.problem.is_some())
    }

    fn files(&self) -> Vec<&std::path::Path> {
        self.source.pems().into_iter().filter_map(Pem::path).collect()
    }

    /// Sees to it that a task of this runtime reads the files from time to time, until nobody uses them any more.
    pub(super) fn watch(self: &Arc<Self>) {
        if self.is_fixed {
            return;
        }
        let mut watcher = lock(&self.watcher);
        // It is finished as well when its runtime is gone.
        if watcher.as_ref().is_none_or(JoinHandle::is_finished) {
            *watcher = Some(tokio::spawn(watch(Arc::downgrade(self), self.interval)));
        }
    }
}

async fn watch<S: Source>(files: Weak<Reloading<S>>, interval: Duration) {
    loop {
        sleep(interval).await;
        let Some(files) = files.upgrade() else { return };
        // What was wrong may have been so for a moment, such as for want of a descriptor.
        if !files.is_wrong() && files.watched.are_surely_same() {
            continue;
        }
        // The file system may be slow, and the error is logged.
        let _ = tokio::task::spawn_blocking(move || {
            // First, so that what is written meanwhile is seen the next time.
            files.watched.note_again();
            files.reload()
        })
        .await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
