use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tunnel_core::Direction;

use crate::generated as pb;

/// How much is kept of what an agent says about a configuration: it decides how long that is.
const MAX_REASON_BYTES: usize = 4 * 1024;

/// What an agent has made of the configurations that its gateway has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigStatus {
    /// The newest version that it was sent in this session; 0 if none was.
    pub sent: u64,
    /// The version that runs, as the agent says; 0 if none does. It may be one that it had before this session.
    pub running: u64,
    /// What it refused, if that is newer than what runs.
    pub refused: Option<ConfigRefusal>,
}

/// A configuration that an agent did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRefusal {
    /// Its version.
    pub version: u64,
    /// Why, in the agent's words; at most 4 KiB of them.
    pub why: String,
}

/// Where it is kept while the session lives.
#[derive(Clone, Debug, Default)]
pub(in crate::gateway) struct StatusCell(Arc<Mutex<ConfigStatus>>);

impl StatusCell {
    pub(in crate::gateway) fn status(&self) -> ConfigStatus {
        self.lock().clone()
    }

    pub(super) fn sent(&self, version: u64) {
        self.lock().sent = version;
    }

    pub(super) fn said(&self, state: pb::ConfigState) {
        let mut status = self.lock();
        let known = status.refused.as_ref().map_or(0, |refused| refused.version);
        if ![0, known].contains(&state.refused_version) {
            crate::metrics::config_refused(Direction::ServerToClient);
        }
        status.running = state.applied_version;
        status.refused = (state.refused_version != 0).then(|| ConfigRefusal {
            version: state.refused_version,
            why: cut(state.error),
        });
    }

    fn lock(&self) -> MutexGuard<'_, ConfigStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(mut text: String) -> String {
    if let Some(end) = (0..=MAX_REASON_BYTES)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .filter(|_| text.len() > MAX_REASON_BYTES)
    {
        text.truncate(end);
    }
    text
}
