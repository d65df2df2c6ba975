//! The configuration that a gateway pushes to an agent.

mod cache;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};
use tunnel_core::{BoxError, Direction};

use super::{Agent, AgentBuilder};
use crate::{generated as pb, metrics};

/// A configuration from a gateway. `Debug` does not show what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct PushedConfig {
    /// Grows with every change.
    pub version: u64,
    /// What it says: a YAML document for each group of the agent that has a configuration at the gateway, in the order in which the
    /// agent has registered them; at most 64 KiB. Empty if there is none any more.
    pub text: Bytes,
}

/// What makes an agent do what a configuration says.
pub(super) type Apply = Arc<dyn Fn(&PushedConfig) -> Result<(), BoxError> + Send + Sync>;

/// What an agent does with the configurations of its gateways. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Configs(Option<Arc<Taker>>);

struct Taker {
    apply: Apply,
    cache: Option<PathBuf>,
    /// Held while one is looked at; always taken before `state`.
    work: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<PushedConfig>,
    /// Whether it is out of the file, and no gateway has said it yet.
    is_cached: bool,
    /// What was refused last, if nothing was taken since, and why.
    refused: Option<(u64, String)>,
}

impl AgentBuilder {
    /// Takes configurations from the gateway: `apply` makes the agent do what one says, or says why it cannot, and then has changed
    /// nothing. The gateway is told which version runs, and why another was refused. Without this every configuration is refused.
    ///
    /// It is called where it may block, never twice at a time, and with versions that grow: what an agent of several gateways gets from
    /// one that is behind the others is refused.
    pub fn on_config<F>(mut self, apply: F) -> Self
    where
        F: Fn(&PushedConfig) -> Result<(), BoxError> + Send + Sync + 'static,
    {
        self.on_config = Some(Arc::new(apply));
        self
    }

    /// Keeps the last configuration that was taken in this file, and takes it from there when the agent starts to serve, before it is
    /// connected: so it has one while no gateway can be reached. The file is replaced as a whole; one that does not belong here is
    /// not believed. It has no use without [`on_config`](Self::on_config).
    pub fn config_cache(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_cache = Some(path.into());
        self
    }
}

impl Agent {
    /// The version of the gateway's configuration that was refused last, if none was taken since, and why.
    #[must_use]
    pub fn refused_config(&self) -> Option<(u64, String)> {
        self.0.configs.0.as_ref()?.state().refused.clone()
    }

    /// The version of the gateway's configuration that runs; none if none does.
    #[must_use]
    pub fn config_version(&self) -> Option<u64> {
        let taker = self.0.configs.0.as_ref()?;
        Some(taker.version()).filter(|version| *version > 0)
    }
}

impl Configs {
    pub(super) fn new(apply: Option<Apply>, cache: Option<PathBuf>) -> Self {
        Self(apply.map(|apply| {
            let (work, state) = (Mutex::default(), Mutex::default());
            Arc::new(Taker {
                apply,
                cache,
                work,
                state,
            })
        }))
    }

    /// Takes what the file has, if nothing else was taken yet.
    pub(super) async fn start(&self) {
        if let Some(taker) = self.0.clone() {
            // A panic of the user's function is told by its hook.
            let _ = spawn_blocking(move || taker.start()).await;
        }
    }

    /// Makes of an update what can be made of it, and what the gateway is told of that.
    fn take(&self, update: pb::ConfigUpdate) -> JoinHandle<pb::ConfigState> {
        let taker = self.0.clone();
        spawn_blocking(move || match taker {
            Some(taker) => taker.take(PushedConfig {
                version: update.version,
                text: update.config,
            }),
            None => refused(
                0,
                update.version,
                "this agent takes no configuration from its gateway",
            ),
        })
    }
}

impl Taker {
    fn start(&self) {
        let Some(path) = &self.cache else { return };
        let _work = self.work();
        if self.state().running.is_some() {
            return;
        }
        let file = path.display();
        match cache::read(path) {
            Ok(None) => {}
            Ok(Some(config)) => match (self.apply)(&config) {
                Ok(()) => {
                    tracing::info!(%file, version = config.version, "the last configuration of the gateway is in force");
                    *self.state() = State {
                        running: Some(config),
                        is_cached: true,
                        refused: None,
                    };
                }
                Err(error) => {
                    tracing::warn!(%file, version = config.version, %error, "the last configuration of the gateway is refused");
                }
            },
            Err(error) => {
                tracing::warn!(%file, %error, "the last configuration of the gateway cannot be read");
            }
        }
    }

    fn take(&self, new: PushedConfig) -> pb::ConfigState {
        let _work = self.work();
        let (version, newest, bound) = (new.version, self.version(), self.bound());
        if self.says_the_same(&new) {
            *self.state() = State {
                running: Some(PushedConfig {
                    version: version.max(bound),
                    ..new
                }),
                is_cached: false,
                refused: None,
            };
            return applied(version);
        }
        if version <= bound {
            let error =
                format!("version {newest} is in force, which another gateway has pushed, or this one before");
            return refused(newest, version, error);
        }
        if let Err(error) = (self.apply)(&new) {
            tracing::warn!(version, running = newest, %error, "the gateway's configuration is refused");
            self.state().refused = Some((version, error.to_string()));
            return refused(newest, version, error.to_string());
        }
        tracing::info!(
            version,
            before = newest,
            "the gateway's configuration is in force"
        );
        if let Some(path) = &self.cache {
            keep(path, &new);
        }
        *self.state() = State {
            running: Some(new),
            is_cached: false,
            refused: None,
        };
        applied(version)
    }

    /// What runs; 0 if nothing does.
    fn version(&self) -> u64 {
        self.state().running.as_ref().map_or(0, |config| config.version)
    }

    /// What a new one has to be newer than. The file does not count: the clock by which its version was made may have been wrong.
    fn bound(&self) -> u64 {
        let state = self.state();
        match &state.running {
            Some(config) if !state.is_cached => config.version,
            _ => 0,
        }
    }

    fn says_the_same(&self, new: &PushedConfig) -> bool {
        let state = self.state();
        state
            .running
            .as_ref()
            .is_some_and(|config| config.text == new.text)
    }

    /// A panic of the user's function has changed nothing that is known here.
    fn work(&self) -> MutexGuard<'_, ()> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(path: &Path, config: &PushedConfig) {
    if let Err(error) = cache::write(path, config) {
        let file = path.display();
        tracing::warn!(%file, %error, "the gateway's configuration cannot be kept for the next start");
    }
}

fn applied(applied_version: u64) -> pb::ConfigState {
    pb::ConfigState {
        applied_version,
        ..pb::ConfigState::default()
    }
}

fn refused(applied_version: u64, refused_version: u64, error: impl Into<String>) -> pb::ConfigState {
    pb::ConfigState {
        applied_version,
        refused_version,
        error: error.into(),
    }
}

/// The updates of one session: one is looked at, and of those that come meanwhile the newest waits.
pub(super) struct Updates {
    configs: Configs,
    newest: u64,
    at_work: Option<(u64, JoinHandle<pb::ConfigState>)>,
    next: Option<pb::ConfigUpdate>,
}

impl Updates {
    pub(super) fn new(configs: &Configs) -> Self {
        Self {
            configs: configs.clone(),
            newest: 0,
            at_work: None,
            next: None,
        }
    }

    /// The gateway has sent one. Gives what it is told of one that will not be looked at any more.
    pub(super) fn came(&mut self, update: pb::ConfigUpdate) -> Option<pb::ConfigState> {
        if update.version <= self.newest {
            return None;
        }
        self.newest = update.version;
        if self.at_work.is_none() {
            self.begin(update);
            return None;
        }
        let overtaken = self.next.replace(update)?;
        let running = self.configs.0.as_ref().map_or(0, |taker| taker.version());
        let why = "a newer one came before it was looked at";
        metrics::config_refused(Direction::ClientToServer);
        Some(refused(running, overtaken.version, why))
    }

    fn begin(&mut self, update: pb::ConfigUpdate) {
        self.at_work = Some((update.version, self.configs.take(update)));
    }

    /// What the gateway is told next. Cancel safe; waits for ever if there is nothing at work.
    pub(super) async fn done(&mut self) -> pb::ConfigState {
        let Some((version, work)) = &mut self.at_work else {
            return std::future::pending().await;
        };
        let state = match work.await {
            Ok(state) => state,
            Err(_) => refused(0, *version, "the agent failed over it"),
        };
        self.at_work = None;
        if state.refused_version != 0 {
            metrics::config_refused(Direction::ClientToServer);
        }
        if let Some(update) = self.next.take() {
            self.begin(update);
        }
        state
    }
}

impl fmt::Debug for PushedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedConfig")
            .field("version", &self.version)
            .field("bytes", &self.text.len())
            .finish()
    }
}
