//! Drains that were begun here, and run beside requests.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::task::AbortHandle;
use tunnel_core::AgentId;

use crate::Gateway;

/// The tasks that cut what is open at a drain's deadline, by the agent.
#[derive(Default)]
pub(super) struct Drains(Mutex<HashMap<AgentId, AbortHandle>>);

impl Drains {
    /// Gives an agent a rest; with a deadline, what is open by then is cut. Another drain of the same agent takes the place of this one.
    pub(super) fn begin(&self, gateway: &Gateway, agent: &AgentId, within: Option<Duration>) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, task| !task.is_finished());
        if let Some(old) = tasks.remove(agent) {
            old.abort();
        }
        gateway.rest_agent(agent);
        if let Some(within) = within {
            let (gateway, id) = (gateway.clone(), agent.clone());
            let task = tokio::spawn(async move {
                gateway.drain_agent(&id, within).await;
            });
            tasks.insert(agent.clone(), task.abort_handle());
        }
    }

    /// What is open at the agent is not cut any more.
    pub(super) fn end(&self, agent: &AgentId) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.remove(agent) {
            task.abort();
        }
    }
}

impl fmt::Debug for Drains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drains").finish_non_exhaustive()
    }
}
