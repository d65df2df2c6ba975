use tokio::sync::watch;
use tunnel_core::GroupName;

use super::{AgentConfigs, MAX_CONFIG_BYTES, StatusCell};
use crate::{
    dispatch::{Replies, control},
    generated::{self as pb, tunnel_message::Payload},
};

/// What one session is sent: one configuration at a time. The next one, which is the newest by then, waits until the agent has said what
/// it made of the last.
#[derive(Debug)]
pub(in crate::gateway) struct Pushes {
    configs: AgentConfigs,
    changed: watch::Receiver<u64>,
    groups: Vec<GroupName>,
    replies: Replies,
    cell: StatusCell,
    sent: u64,
    is_answered: bool,
}

impl Pushes {
    pub(in crate::gateway) fn new(
        configs: &AgentConfigs,
        groups: Vec<GroupName>,
        replies: Replies,
        cell: StatusCell,
    ) -> Self {
        Self {
            configs: configs.clone(),
            changed: configs.0.version.subscribe(),
            groups,
            replies,
            cell,
            sent: 0,
            is_answered: true,
        }
    }

    /// Sends what is new whenever there is something, for as long as it is polled. Cancel safe.
    pub(in crate::gateway) async fn run(&mut self) -> std::convert::Infallible {
        loop {
            self.changed.borrow_and_update();
            if self.is_answered && self.configs.newer(&self.groups, self.sent).is_some() {
                match self.replies.clone().reserve_owned().await {
                    // The newest one, and it is sent before anything is waited for.
                    Ok(place) => self.send(|message| drop(place.send(Ok(message)))),
                    // The stream has ended, and with it the session.
                    Err(_) => std::future::pending().await,
                }
            }
            // The sender lives in `configs`.
            let _ = self.changed.changed().await;
        }
    }

    fn send(&mut self, send: impl FnOnce(pb::TunnelMessage)) {
        let Some(update) = self.configs.newer(&self.groups, self.sent) else {
            return;
        };
        self.sent = update.version;
        if update.config.len() > MAX_CONFIG_BYTES {
            let error = format!(
                "not sent: the configurations of its groups have {} bytes together, and at most {MAX_CONFIG_BYTES} can be sent",
                update.config.len()
            );
            tracing::warn!(version = update.version, %error, "an agent cannot be sent its configuration");
            let applied_version = self.cell.status().running;
            let refused_version = update.version;
            return self.cell.said(pb::ConfigState {
                applied_version,
                refused_version,
                error,
            });
        }
        self.cell.sent(update.version);
        self.is_answered = false;
        send(control(Payload::ConfigSync(update)));
    }

    /// The agent has said what it made of a configuration.
    pub(in crate::gateway) fn answered(&mut self, state: pb::ConfigState) {
        if [state.applied_version, state.refused_version].contains(&self.sent) {
            self.is_answered = true;
        }
        self.cell.said(state);
    }
}

/// Answers the unary call of a session's owner.
pub(in crate::gateway) fn answer(
    configs: &AgentConfigs,
    groups: &[GroupName],
    state: Option<pb::ConfigState>,
) -> Option<pb::ConfigUpdate> {
    let has = state.map_or(0, |state| state.applied_version.max(state.refused_version));
    configs
        .newer(groups, has)
        .filter(|update| update.config.len() <= MAX_CONFIG_BYTES)
}
