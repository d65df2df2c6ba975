//! Agents that call.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::{
    GroupName,
    auth::{Authenticator as _, BoxAuthenticator},
};
use tunnel_layers::auth::{AgentCallers, Realm};

use crate::config::error::Checker;

/// Agents by the names of their credentials and by the groups that they serve; any agent without either.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCallers {
    names: Option<Spanned<Vec<String>>>,
    groups: Option<Spanned<Vec<Spanned<String>>>>,
}

impl RawCallers {
    pub(super) fn check(&self, realm: &Realm, checker: &mut Checker<'_>) -> Option<BoxAuthenticator> {
        let callers = match (&self.names, &self.groups) {
            (None, None) => AgentCallers::any(),
            _ => AgentCallers::only(),
        };
        let mut callers = callers.realm(realm.clone());
        if let Some(names) = &self.names {
            told_if_empty(names, checker)?;
            for name in &names.value {
                callers = callers.named(name.as_str());
            }
        }
        if let Some(groups) = &self.groups {
            told_if_empty(groups, checker)?;
            for group in &groups.value {
                let name = checker.take(group.referenced, group.value.parse::<GroupName>())?;
                callers = callers.group(name);
            }
        }
        Some(callers.boxed())
    }
}

/// An empty list would let in everybody, which is not what it looks like.
fn told_if_empty<T>(list: &Spanned<Vec<T>>, checker: &mut Checker<'_>) -> Option<()> {
    if list.value.is_empty() {
        let message = "no agent is named: name one, or leave this out for every agent";
        checker.wrong(list.referenced, message);
        return None;
    }
    Some(())
}
