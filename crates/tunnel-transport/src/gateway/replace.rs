//! Who may connect as an agent, while the gateway serves.

use std::sync::Arc;

use super::{AgentAuth, AgentCredentials, AgentIdentity, AuthRejection, Gateway};

impl Gateway {
    /// Decides from now on who may connect as an agent, and looks at the credentials of all agents that are connected at once: a
    /// session whose credentials are no longer valid, or no longer allow what the agent has registered, ends. What the agents carry
    /// goes on otherwise.
    ///
    /// [`OpenToAnyAgent`](super::OpenToAnyAgent) lets everybody in.
    pub fn replace_agent_auth(&self, auth: impl AgentAuth) {
        self.0.auth.store(Arc::new(Box::new(auth)));
        self.recheck_agents_now();
    }

    /// Looks at the credentials of all agents that are connected at once, and not only after the interval of
    /// [`recheck_agents`](super::GatewayBuilder::recheck_agents): for credentials that were taken back elsewhere.
    pub fn recheck_agents_now(&self) {
        self.0.looked.send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(super) async fn authenticate(
        &self,
        credentials: AgentCredentials,
    ) -> Result<AgentIdentity, AuthRejection> {
        let auth = self.0.auth.load_full();
        let identity = auth.authenticate(credentials).await?;
        self.refuse_revoked(&identity)?;
        Ok(identity)
    }
}
