//! Callers that are agents.

use std::{
    collections::BTreeSet,
    future::{Ready, ready},
    sync::Arc,
};

use tunnel_core::{
    AgentCaller, GroupName,
    auth::{AuthRequest, Authenticator, Decision, Principal, Rejection},
};

use super::{Realm, challenge};

/// Takes requests that an agent has carried to its gateway, by the [`AgentCaller`] in their extensions. The principal's name is that of
/// the credentials by which the agent has connected.
///
/// [`any`](Self::any) takes all of them; [`only`](Self::only) those whose credentials have one of the names that are added, or that serve
/// one of the groups. Any other agent is answered 403, and whoever is no agent 401, with a challenge of the scheme `Agent`, which
/// nobody has registered: a 401 must have one.
///
/// ```
/// use tunnel_core::{AgentCaller, SessionId, auth::{AuthRequest, Authenticator, Decision}};
/// use tunnel_layers::auth::AgentCallers;
///
/// let agents = AgentCallers::only().named("billing").group("web".parse()?);
/// let (mut parts, ()) = http::Request::new(()).into_parts();
/// let session = SessionId::from_random([0; 16]);
/// parts.extensions.insert(AgentCaller::new("edge-1", "a".parse()?, session, ["web".parse()?]));
/// let Decision::Now(Ok(principal)) = agents.decide(&AuthRequest::of(&parts)) else { panic!("it serves the group") };
/// assert_eq!(principal.name(), "edge-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AgentCallers {
    /// `None` for any.
    allowed: Option<Arc<Allowed>>,
    realm: Realm,
}

#[derive(Clone, Debug, Default)]
struct Allowed {
    names: BTreeSet<Box<str>>,
    groups: BTreeSet<GroupName>,
}

impl AgentCallers {
    /// Takes every agent.
    #[must_use]
    pub fn any() -> Self {
        Self {
            allowed: None,
            realm: Realm::default(),
        }
    }

    /// Takes no agent but those that are added, by [`named`](Self::named) and [`group`](Self::group).
    #[must_use]
    pub fn only() -> Self {
        Self {
            allowed: Some(Arc::default()),
            realm: Realm::default(),
        }
    }

    /// Takes agents whose credentials have this name as well.
    #[must_use]
    pub fn named(mut self, credentials: impl Into<Box<str>>) -> Self {
        if let Some(allowed) = &mut self.allowed {
            Arc::make_mut(allowed).names.insert(credentials.into());
        }
        self
    }

    /// Takes agents that serve this group as well.
    #[must_use]
    pub fn group(mut self, group: GroupName) -> Self {
        if let Some(allowed) = &mut self.allowed {
            Arc::make_mut(allowed).groups.insert(group);
        }
        self
    }

    /// What callers that are no agents are told.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = realm;
        self
    }

    fn check(&self, request: &AuthRequest<'_>) -> Result<Principal, Rejection> {
        let Some(caller) = request.agent() else {
            let challenge = challenge::header(format!("Agent realm=\"{}\"", self.realm));
            return Err(Rejection::missing("this is for agents alone").with_challenge(challenge));
        };
        match &self.allowed {
            Some(allowed) if !allowed.has(caller) => {
                Err(Rejection::forbidden("this agent may not call what it asks for"))
            }
            _ => Ok(caller.principal().clone()),
        }
    }
}

impl Allowed {
    fn has(&self, caller: &AgentCaller) -> bool {
        self.names.contains(caller.credentials())
            || caller.groups().iter().any(|group| self.groups.contains(group))
    }
}

impl Authenticator for AgentCallers {
    type Future = Ready<Result<Principal, Rejection>>;

    fn authenticate(&self, request: &AuthRequest<'_>) -> Self::Future {
        ready(self.check(request))
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<Self::Future> {
        Decision::Now(self.check(request))
    }
}

#[cfg(test)]
mod tests {
    use tunnel_core::SessionId;

    use super::*;

    fn check(agents: &AgentCallers, caller: Option<AgentCaller>) -> Result<Principal, Rejection> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        if let Some(caller) = caller {
            parts.extensions.insert(caller);
        }
        agents.check(&AuthRequest::of(&parts))
    }

    fn caller(credentials: &str, agent: &str, group: &str) -> Option<AgentCaller> {
        let session = SessionId::from_random([1; 16]);
        let group: GroupName = group.parse().unwrap();
        Some(AgentCaller::new(
            credentials,
            agent.parse().unwrap(),
            session,
            [group],
        ))
    }

    #[test]
    fn any_agent_is_taken_and_nobody_else() {
        for agents in [AgentCallers::any(), AgentCallers::any().named("billing")] {
            assert_eq!(check(&agents, caller("edge", "a", "web")).unwrap().name(), "edge");
            check(&agents, None).unwrap_err();
        }
        check(&AgentCallers::only(), caller("edge", "a", "web")).unwrap_err();
    }

    #[test]
    fn names_are_those_of_credentials_and_groups_those_that_are_served() {
        let agents = AgentCallers::only()
            .named("billing")
            .group("web".parse().unwrap());
        check(&agents, caller("billing", "a", "other")).unwrap();
        check(&agents, caller("edge", "a", "web")).unwrap();
        check(&agents, caller("edge", "billing", "other")).unwrap_err();
        check(&agents, caller("edge", "web", "other")).unwrap_err();
        check(&agents, None).unwrap_err();
    }
}
