use std::{fmt, sync::Arc};

use super::Principal;
use crate::id::{AgentId, GroupName, SessionId};

/// The agent that has sent a request to its gateway, in the request's extensions. A clone costs a reference count.
///
/// The gateway puts it there, from what it knows of the session by which the request came: nothing of it is read from the request.
/// Requests from outside have none.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentCaller(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    agent: AgentId,
    session: SessionId,
    groups: Box<[GroupName]>,
    principal: Principal,
}

impl AgentCaller {
    /// The word for how such a caller was authenticated: [`Principal::scheme`].
    pub const SCHEME: &'static str = "agent";
    /// The claim of the principal that has the agent's own name for itself.
    pub const AGENT: &'static str = "agent";

    /// An agent with this session and these groups, which has shown the credentials with this name.
    #[must_use]
    pub fn new(
        credentials: &str,
        agent: AgentId,
        session: SessionId,
        groups: impl IntoIterator<Item = GroupName>,
    ) -> Self {
        let groups: Box<[GroupName]> = groups.into_iter().collect();
        let principal = Principal::new(credentials, Self::SCHEME)
            .with_claim(Self::AGENT, [agent.as_str()])
            .with_claim(Principal::GROUPS, groups.iter().map(GroupName::as_str));
        Self(Arc::new(Inner {
            agent,
            session,
            groups,
            principal,
        }))
    }

    /// The name of the credentials that it has shown: what it cannot choose.
    #[must_use]
    pub fn credentials(&self) -> &str {
        self.0.principal.name()
    }

    /// The name that the agent has given itself. Whoever has its credentials may take any name, so nothing should be allowed by it.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.0.agent
    }

    /// The session by which the request came.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.session
    }

    /// The groups that it serves, which its credentials have allowed it to register.
    #[must_use]
    pub fn groups(&self) -> &[GroupName] {
        &self.0.groups
    }

    /// The same as a principal: its name is that of the credentials, its claims are [`AGENT`](Self::AGENT) and
    /// [`GROUPS`](Principal::GROUPS).
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }
}

impl fmt::Debug for AgentCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentCaller")
            .field("credentials", &self.credentials())
            .field("agent", &self.0.agent)
            .field("session", &self.0.session)
            .field("groups", &self.0.groups)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_principal_has_the_name_of_the_credentials_and_not_the_one_it_gives_itself() {
        let groups = ["web", "api"].map(|name| name.parse().unwrap());
        let session = SessionId::from_random([7; 16]);
        let caller = AgentCaller::new("edge", "admin".parse().unwrap(), session, groups);
        let principal = caller.principal();
        assert_eq!(
            (principal.name(), principal.scheme()),
            ("edge", AgentCaller::SCHEME)
        );
        assert!(principal.has(AgentCaller::AGENT, "admin"));
        assert!(principal.has(Principal::GROUPS, "web") && principal.has(Principal::GROUPS, "api"));
        assert_eq!((caller.credentials(), caller.session()), ("edge", session));
    }
}
