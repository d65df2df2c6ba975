//! Credentials that the operator takes back by their name, before whoever keeps them does.

use std::sync::PoisonError;

use super::{AgentIdentity, AuthRejection, Gateway};

impl Gateway {
    /// Takes back what is known under this name ([`AgentIdentity::name`]): whoever shows it is refused, and sessions that were opened
    /// with it end at once. Says how many sessions those are.
    ///
    /// It lasts until [`restore`](Self::restore) or the end of the process, and [`replace_agent_auth`](Self::replace_agent_auth)
    /// changes nothing about it: a list that is read again for another reason shall not let a stolen token in. A name that nobody has
    /// is remembered all the same.
    pub fn revoke(&self, name: &str) -> usize {
        self.revoked_names().insert(name.into());
        let all = self.0.registry.all().into_iter();
        let sessions = all.filter(|entry| &*entry.credentials == name).count();
        tracing::warn!(credentials = name, sessions, "credentials were revoked");
        self.recheck_agents_now();
        sessions
    }

    /// Lets what is known under this name in again. Tells whether it was revoked.
    pub fn restore(&self, name: &str) -> bool {
        let was_revoked = self.revoked_names().remove(name);
        if was_revoked {
            tracing::info!(credentials = name, "credentials are no longer revoked");
        }
        was_revoked
    }

    /// The names that are revoked.
    #[must_use]
    pub fn revoked(&self) -> Vec<Box<str>> {
        self.revoked_names().iter().cloned().collect()
    }

    pub(super) fn refuse_revoked(&self, identity: &AgentIdentity) -> Result<(), AuthRejection> {
        match self.revoked_names().contains(&*identity.name) {
            true => Err(AuthRejection::new("the agent's credentials were revoked")),
            false => Ok(()),
        }
    }

    fn revoked_names(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<Box<str>>> {
        self.0.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
