//! Configuration files that change while a program runs.
//!
//! The file, and those that it names (tokens, passwords, keys), are looked at every two seconds, or as often as the key `reload` says,
//! and at each SIGHUP. A file that is right takes effect as a whole; one that is wrong, or that changes what cannot change, changes
//! nothing, and the log says why.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::{debug, error, info};
use tunnel_transport::files::Files;

use crate::{
    asked::{Asked, ReloadHandle},
    config::{AgentConfig, Changes, ConfigError, GatewayConfig},
};

/// How long a file has to stay as it is before it is believed: one that is written in place is there in part for a moment, and a part may
/// be right.
const SETTLED: Duration = Duration::from_millis(100);

/// The most looks at a file that does not stay as it is; then it is taken as it is.
const LOOKS: usize = 20;

/// The configuration of a program, which can be loaded again.
pub trait Reloaded: Sized + Send + Sync + 'static {
    /// The program, for people.
    const PROGRAM: &'static str;

    /// Reads and checks the file, and notes what it reads.
    ///
    /// # Errors
    ///
    /// What is wrong in it.
    fn load(path: &Path, files: &Files) -> Result<Self, ConfigError>;

    /// What is different in `new`.
    fn changes(&self, new: &Self) -> Changes;

    /// The keys that changed and cannot while the program runs.
    fn unchangeable(changes: &Changes) -> Vec<&str>;

    /// Takes what is remembered and counted from `old` where nothing has changed.
    fn keep(&mut self, old: &Self, same_files: bool);

    /// How often the files are looked at.
    fn interval(&self) -> Option<Duration>;
}

/// A file that is looked at, and what was made of it when it was last right.
#[derive(Debug)]
pub struct Reloads<C> {
    path: PathBuf,
    /// As they were when they were last read.
    seen: Arc<Files>,
    /// As they were when `current` was made of them.
    good: Arc<Files>,
    current: C,
    asked: Asked,
    handle: ReloadHandle,
}

/// What came of looking at a file again.
#[derive(Debug)]
enum Outcome<C> {
    Changed(C, String),
    Same,
    Refused(String),
}

impl<C: Reloaded> Reloads<C> {
    /// Watches the file at `path`, of which `current` was made when `files` was noted. From now on SIGHUP does not end the process.
    ///
    /// # Errors
    ///
    /// The system does not let this process handle signals.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(path: PathBuf, files: Files, current: C) -> io::Result<Self> {
        let files = Arc::new(files);
        let (asked, handle) = Asked::new(Hangup::new()?);
        Ok(Self {
            path,
            seen: files.clone(),
            good: files,
            current,
            asked,
            handle,
        })
    }

    /// Asks for a look at the file, and knows what came of the last one.
    #[must_use]
    pub fn handle(&self) -> ReloadHandle {
        self.handle.clone()
    }

    /// Hands every configuration that is new and right to `apply`, and never ends.
    pub async fn run(mut self, mut apply: impl FnMut(&C)) -> Infallible {
        loop {
            self.changed().await;
            let start = Instant::now();
            let files = Arc::new(self.seen.empty());
            let (path, noted) = (self.path.clone(), files.clone());
            // The file system may be slow, and hashes of passwords are checked.
            let Ok(loaded) = spawn_blocking(move || C::load(&path, &noted)).await else {
                self.asked.answer("refused", "the file could not be looked at");
                continue;
            };
            let outcome = self.judge(loaded, &files);
            let file = self.path.display();
            match outcome {
                Outcome::Changed(new, changes) => {
                    apply(&new);
                    info!(%file, %changes, took = ?start.elapsed(), "the configuration has changed");
                    self.asked.answer("changed", changes);
                    self.current = new;
                    self.good = files.clone();
                }
                Outcome::Same => {
                    info!(%file, "the configuration is as it was");
                    self.asked.answer("same", "the configuration is as it was");
                }
                Outcome::Refused(why) => {
                    error!("{file}: nothing is changed:\n{why}");
                    self.asked.answer("refused", why);
                    // A file that is wrong may name none of the others, which are still in use.
                    files.note_rest(&self.good);
                }
            }
            self.seen = files;
        }
    }

    fn judge(&self, loaded: Result<C, ConfigError>, files: &Files) -> Outcome<C> {
        let mut new = match loaded {
            Ok(new) => new,
            Err(error) => {
                let (count, plural) = (error.count(), if error.count() == 1 { "" } else { "s" });
                return Outcome::Refused(format!("{error}\n{count} error{plural}"));
            }
        };
        let changes = self.current.changes(&new);
        let fixed = C::unchangeable(&changes);
        if !fixed.is_empty() {
            return Outcome::Refused(refused::<C>(&fixed));
        }
        let same_files = files.are_as(&self.good);
        if changes.is_empty() && same_files {
            return Outcome::Same;
        }
        new.keep(&self.current, same_files);
        let told = match changes.is_empty() {
            true => "files that it names".to_owned(),
            false => changes.to_string(),
        };
        Outcome::Changed(new, told)
    }
}

impl<C: Reloaded> Reloads<C> {
    /// Waits until some file is not what it was and stays as it is, or until a signal asks.
    async fn changed(&mut self) {
        loop {
            let Some(interval) = self.current.interval() else {
                return self.asked.next().await;
            };
            tokio::select! {
                () = self.asked.next() => return,
                () = sleep(interval) => {}
            }
            if self.seen.changed().await {
                return self.settled().await;
            }
        }
    }

    async fn settled(&mut self) {
        let mut last = look(&self.seen, Files::now).await;
        for _ in 0..LOOKS {
            tokio::select! {
                () = self.asked.next() => return,
                () = sleep(SETTLED) => {}
            }
            let now = look(&self.seen, Files::now).await;
            if now.are_as(&last) {
                return;
            }
            debug!(file = %self.path.display(), "the file is still being written");
            last = now;
        }
    }
}

/// Looks where waiting for a disk holds nobody up.
async fn look<T: Default + Send + 'static>(files: &Arc<Files>, with: fn(&Files) -> T) -> T {
    let files = files.clone();
    spawn_blocking(move || with(&files)).await.unwrap_or_default()
}

fn refused<C: Reloaded>(keys: &[&str]) -> String {
    let each = keys.iter().map(|key| {
        let program = C::PROGRAM;
        format!("`{key}` cannot change while the {program} runs: put it back, or start the {program} anew")
    });
    each.collect::<Vec<_>>().join("\n")
}

impl Reloaded for GatewayConfig {
    const PROGRAM: &'static str = "gateway";

    fn load(path: &Path, files: &Files) -> Result<Self, ConfigError> {
        Self::load_noting(path, files)
    }

    fn changes(&self, new: &Self) -> Changes {
        Self::changes(self, new)
    }

    fn unchangeable(changes: &Changes) -> Vec<&str> {
        Self::unchangeable(changes)
    }

    fn keep(&mut self, old: &Self, same_files: bool) {
        Self::keep(self, old, same_files);
    }

    fn interval(&self) -> Option<Duration> {
        self.reload
    }
}

impl Reloaded for AgentConfig {
    const PROGRAM: &'static str = "agent";

    fn load(path: &Path, files: &Files) -> Result<Self, ConfigError> {
        Self::load_noting(path, files)
    }

    fn changes(&self, new: &Self) -> Changes {
        Self::changes(self, new)
    }

    fn unchangeable(changes: &Changes) -> Vec<&str> {
        Self::unchangeable(changes)
    }

    fn keep(&mut self, old: &Self, _same_files: bool) {
        Self::keep(self, old);
    }

    fn interval(&self) -> Option<Duration> {
        self.reload
    }
}

#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Hangup(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangup {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup()).map(Self)
    }

    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Hangup;

#[cfg(not(unix))]
impl Hangup {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
