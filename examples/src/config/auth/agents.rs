//! Agents that show the same credentials as callers: `auth:` of the agents' port.

use std::{collections::BTreeSet, fmt};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::{GroupName, Principal};
use tunnel_transport::{
    AgentTokens, AllowedGroups,
    gateway::{
        AgentAuth, AgentAuthenticator, AgentCredentials, AgentIdentity, AllowedHosts, AllowedServices,
        AuthFuture,
    },
};

use super::Known;
use crate::config::{error::Checker, groups::RawGroups, text_or::TextOr};

/// The claim that has the gRPC services which an agent may register.
pub(super) const SERVICES: &str = "services";

/// The claim that has the hosts which an agent may register.
pub(super) const HOSTS: &str = "hosts";

/// A policy, or a mapping that says what whom it takes may register.
pub(in crate::config) type RawAgentsAuth = TextOr<RawAgentsPolicy>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAgentsPolicy {
    policy: Spanned<String>,
    rights: Spanned<Vec<Spanned<RawRight>>>,
}

/// What the agent with a name may register.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRight {
    name: Spanned<String>,
    groups: Spanned<RawGroups>,
    services: Option<Vec<String>>,
    hosts: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Credentials of the agents' port, beside tokens.
#[derive(Debug)]
pub(in crate::config) struct AgentsAuth {
    authenticator: Box<dyn AgentAuth>,
    /// The groups that agents may register; none if only their credentials say that.
    pub(in crate::config) groups: Option<AllowedGroups>,
}

/// What whoever has the name may register; the name `*` stands for every name.
struct Right {
    name: String,
    groups: AllowedGroups,
    services: AllowedServices,
    hosts: AllowedHosts,
}

/// What `auth:` says.
pub(in crate::config) fn check(
    raw: &Spanned<RawAgentsAuth>,
    known: &mut Known,
    checker: &mut Checker<'_>,
) -> Option<AgentsAuth> {
    match &raw.value {
        TextOr::Text(name) => {
            let policy = known.find(&Spanned::new(name.clone(), raw.referenced, raw.defined), checker)?;
            Some(AgentsAuth {
                authenticator: Box::new(AgentAuthenticator::by_claims(policy)),
                groups: None,
            })
        }
        TextOr::Map(of) => {
            let policy = known.find(&of.policy, checker);
            let rights = of.rights(checker);
            let (policy, rights) = policy.zip(rights)?;
            let groups = all_groups(&rights);
            let rights = move |principal: &Principal| identity(principal, &rights);
            Some(AgentsAuth {
                authenticator: Box::new(AgentAuthenticator::new(policy, rights)),
                groups: Some(groups),
            })
        }
    }
}

impl RawAgentsPolicy {
    fn rights(&self, checker: &mut Checker<'_>) -> Option<Vec<Right>> {
        if self.rights.value.is_empty() {
            let message =
                "no agent could register anything: write one such as `- {name: edge-1, groups: [web]}`";
            checker.wrong(self.rights.referenced, message);
            return None;
        }
        let mut rights = Some(Vec::new());
        for right in &self.rights.value {
            let right = right.value.check(right.referenced, checker);
            rights = rights.zip(right).map(|(mut rights, right)| {
                rights.push(right);
                rights
            });
        }
        rights
    }
}

impl RawRight {
    fn check(&self, place: Location, checker: &mut Checker<'_>) -> Option<Right> {
        if self.name.value.is_empty() {
            checker.wrong(
                self.name.referenced,
                "whose right is it? Write the name of a principal, or \"*\" for every name",
            );
            return None;
        }
        let groups = self.groups.value.check(&self.groups, checker)?;
        let services = match &self.services {
            None => AllowedServices::All,
            Some(services) if services.is_empty() => {
                checker.wrong(
                    place,
                    "no service is allowed: name one, or leave `services` out for every one",
                );
                return None;
            }
            Some(services) => {
                AllowedServices::Only(services.iter().map(|name| name.as_str().into()).collect())
            }
        };
        let hosts = match &self.hosts {
            None => AllowedHosts::All,
            Some(named) if named.value.is_empty() => {
                let message = "no host is allowed: name one, or leave `hosts` out for every one";
                checker.wrong(named.referenced, message);
                return None;
            }
            Some(named) => AllowedHosts::only(hosts(&named.value, checker)?),
        };
        Some(Right {
            name: self.name.value.clone(),
            groups,
            services,
            hosts,
        })
    }
}

/// Hosts, and patterns of hosts.
pub(super) fn hosts<'a>(named: &'a [Spanned<String>], checker: &mut Checker<'_>) -> Option<Vec<&'a str>> {
    let wrong = named.iter().find(|host| !AllowedHosts::is_pattern(&host.value));
    if let Some(host) = wrong {
        let message = format!(
            "`{}` is no host: write one such as www.example.com, or *.example.com for every name below that",
            host.value
        );
        checker.wrong(host.referenced, message);
        return None;
    }
    Some(named.iter().map(|host| host.value.as_str()).collect())
}

/// What the first right for this name says; nothing may be registered without one.
fn identity(principal: &Principal, rights: &[Right]) -> AgentIdentity {
    let right = rights
        .iter()
        .find(|right| right.name == "*" || right.name == principal.name());
    match right {
        Some(right) => AgentIdentity {
            services: right.services.clone(),
            hosts: right.hosts.clone(),
            ..AgentIdentity::new(principal.name(), right.groups.clone())
        },
        None => AgentIdentity::new(principal.name(), AllowedGroups::Only(BTreeSet::new())),
    }
}

fn all_groups(rights: &[Right]) -> AllowedGroups {
    let mut all: BTreeSet<GroupName> = BTreeSet::new();
    for right in rights {
        match &right.groups {
            AllowedGroups::All => return AllowedGroups::All,
            AllowedGroups::Only(groups) => all.extend(groups.iter().cloned()),
        }
    }
    AllowedGroups::Only(all)
}

/// Tokens of the agents' port, and where none is known, the credentials that callers show as well.
pub(in crate::config) struct Both(
    pub(in crate::config) AgentTokens,
    pub(in crate::config) AgentsAuth,
);

impl AgentAuth for Both {
    fn authenticate(&self, credentials: AgentCredentials) -> AuthFuture<'_> {
        Box::pin(async move {
            match self.0.authenticate(credentials.clone()).await {
                Ok(identity) => Ok(identity),
                Err(_) => self.1.authenticator.authenticate(credentials).await,
            }
        })
    }
}

impl fmt::Debug for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Both").field(&self.0).field(&self.1).finish()
    }
}
