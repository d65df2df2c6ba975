//! The part `agents` of a gateway's file: the port for agents, and who may connect there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::GroupName;
use tunnel_transport::{
    AgentTokens, AllowedGroups,
    gateway::{AgentAuth, OpenToAnyAgent},
};

use super::{
    Surroundings,
    auth::{self, Both, Known, RawAgentsAuth},
    calls::RawCalls,
    error::Checker,
    gateway::Access,
    groups::RawGroups,
    heartbeat::RawHeartbeat,
    pushed::RawPushed,
    rules::GroupUse,
    secret::TokenKeys,
    tls::{self, RawServerTls},
    units::{Secret, Time},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgents {
    pub(super) listen: Spanned<String>,
    #[serde(default, deserialize_with = "tls::present")]
    pub(super) tls: Option<Spanned<RawServerTls>>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    tokens: Vec<Spanned<RawToken>>,
    #[serde(default, deserialize_with = "tls::present")]
    auth: Option<Spanned<RawAgentsAuth>>,
    pub(super) recheck: Option<Time>,
    pub(super) heartbeat: Option<Spanned<RawHeartbeat>>,
    #[serde(default)]
    pub(super) route_services: bool,
    #[serde(default)]
    pub(super) push: BTreeMap<String, Spanned<RawPushed>>,
    #[serde(default, deserialize_with = "tls::present")]
    pub(super) calls: Option<RawCalls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: Spanned<String>,
    token: Option<Spanned<Secret>>,
    token_env: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    groups: Spanned<RawGroups>,
}

/// Who may connect, how that is told, and what the credentials of `auth` say.
pub(super) type AgentAccess = (Arc<dyn AgentAuth>, Access, Option<Option<AllowedGroups>>);

impl RawAgents {
    pub(super) fn access(
        &self,
        place: Location,
        known: &mut Known,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<AgentAccess> {
        let tokens = self.tokens(place, around, checker);
        let auth = self.auth.as_ref().map(|auth| auth::agents(auth, known, checker));
        let count = self.tokens.len();
        Some(match (tokens?, auth) {
            (Some(tokens), Some(auth)) => {
                let auth = auth?;
                let groups = auth.groups.clone();
                (
                    Arc::new(Both(tokens, auth)),
                    Access::Credentials(count),
                    Some(groups),
                )
            }
            (Some(tokens), None) => (Arc::new(tokens), Access::Tokens(count), None),
            (None, _) => (Arc::new(OpenToAnyAgent), Access::Open, None),
        })
    }

    /// The tokens; `Some(None)` for a gateway that is open.
    fn tokens(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Option<AgentTokens>> {
        let agents = self;
        match (agents.open, agents.tokens.as_slice()) {
            (true, []) if agents.auth.is_none() => return Some(None),
            (true, [..]) => {
                let message = "agents need no token where `open: true` stands: keep one of `open`, and `tokens` or `auth`";
                checker.wrong(place, message);
                return None;
            }
            (false, []) if agents.auth.is_none() => {
                let message = "no agent could connect: add `tokens:` with at least one token, or `open: true` if only \
                               trusted programs can reach this port";
                checker.wrong(place, message);
                return None;
            }
            (false, [..]) => {}
        }
        let mut tokens = Some(AgentTokens::new());
        for raw in &agents.tokens {
            let added = raw
                .value
                .add(raw, tokens.clone().unwrap_or_default(), around, checker);
            tokens = tokens.and(added);
        }
        tokens.map(Some)
    }

    /// Every group that rules name must be one that some agent may register.
    pub(super) fn check_uses(
        &self,
        auth: Option<&Option<AllowedGroups>>,
        uses: &[GroupUse],
        checker: &mut Checker<'_>,
    ) {
        let mut known = BTreeSet::new();
        match auth.map(Option::as_ref) {
            None => {}
            Some(Some(AllowedGroups::Only(groups))) => known.extend(groups.iter().map(GroupName::as_str)),
            // The credentials say it, or nobody knows yet.
            Some(Some(AllowedGroups::All) | None) => return,
        }
        for token in &self.tokens {
            match &token.value.groups.value {
                RawGroups::All => return,
                RawGroups::Only(groups) => known.extend(groups.iter().map(|group| group.value.as_str())),
            }
        }
        if known.is_empty() {
            return;
        }
        let listed = known
            .iter()
            .map(|group| format!("`{group}`"))
            .collect::<Vec<_>>()
            .join(", ");
        for used in uses.iter().filter(|used| !known.contains(used.group.as_str())) {
            let message = format!(
                "no token lets an agent register the group `{}` of the rule `{}`: tokens have the groups {listed}",
                used.group, used.rule
            );
            checker.wrong(used.location, message);
        }
    }

    pub(super) fn asks_for_certificates(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.value.asks_for_certificates())
    }
}

impl RawToken {
    fn add(
        &self,
        place: &Spanned<Self>,
        tokens: AgentTokens,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<AgentTokens> {
        let keys = TokenKeys {
            token: self.token.as_ref(),
            token_env: self.token_env.as_ref(),
            token_file: self.token_file.as_ref(),
        };
        let owner = format!("the token `{}`", self.name.value);
        let secret = keys.resolve(&owner, place.referenced, around, checker);
        let groups = self.groups.value.check(&self.groups, checker);
        let (secret, location) = secret?;
        checker.tokens().note_agent(&self.name.value, &secret);
        checker.take(location, tokens.token(&self.name.value, &secret.0, groups?))
    }
}

/// Rules that go to agents need some.
pub(super) fn no_agents(uses: &[GroupUse], checker: &mut Checker<'_>) {
    for used in uses {
        let message = format!(
            "no agent can serve the group `{}` of the rule `{}`: add `agents:` with a port for them",
            used.group, used.rule
        );
        checker.wrong(used.location, message);
    }
}
