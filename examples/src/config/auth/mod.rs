//! Who may call: `auth:` of a gateway's file.

mod agents;
mod basic;
mod bearer;
mod callers;
mod certificate;
mod client;
mod introspection;
mod jwt;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderName;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::auth::{Authenticator as _, BoxAuthenticator, Rejection, auth_fn};
use tunnel_layers::auth::{AgentCallers, AuthLayer, Policies, Realm};

pub(super) use self::agents::{Both, RawAgentsAuth, check as agents};
use self::{
    basic::RawBasic, bearer::RawBearerToken, callers::RawCallers, certificate::RawCertificate,
    introspection::RawIntrospection, jwt::RawJwt, policy::RawPolicy,
};
use super::{Surroundings, error::Checker, pairs::Pairs, units::Time, yaml};

/// What a rule writes that is for everybody.
pub(super) const PUBLIC: &str = "public";

/// `auth:` of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    default: Spanned<String>,
    providers: Spanned<Pairs<Spanned<RawProvider>>>,
    #[serde(default)]
    policies: Pairs<Spanned<RawPolicy>>,
    principal_header: Option<Spanned<String>>,
    #[serde(default)]
    strip_credentials: bool,
    end_at_expiry: Option<Time>,
    realm: Option<Spanned<String>>,
}

/// One way of finding out who calls.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawProvider {
    Basic(RawBasic),
    Bearer(Spanned<Vec<Spanned<RawBearerToken>>>),
    Jwt(Box<RawJwt>),
    Introspection(Box<RawIntrospection>),
    Certificate(RawCertificate),
    Agents(RawCallers),
}

/// What stands in `auth:`, by the names that rules use.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Each name, and whether what it stands for can be used.
    policies: BTreeMap<String, Option<BoxAuthenticator>>,
    /// Those that something refers to.
    used: BTreeSet<String>,
    /// Where each was named.
    places: Vec<(String, Location)>,
    /// Where certificates of clients are asked about.
    certificates: Option<Location>,
    /// Whether there is an `auth:` at all.
    is_there: bool,
}

/// A layer that asks nobody.
pub(super) fn nobody() -> Option<AuthLayer<BoxAuthenticator>> {
    let policy = auth_fn(|_| async { Err(Rejection::missing("there are no credentials")) }).boxed();
    let policies = Policies::new([("nobody", policy)]).ok()?;
    Some(AuthLayer::policies(policies.public_by_default()))
}

/// What rules for agents that say nothing of `auth` stand for. No policy of a file can have this name.
const ANY_AGENT: &str = "any agent";

/// A layer that takes agents, where there is no `auth`.
pub(super) fn any_agent() -> AuthLayer<BoxAuthenticator> {
    AuthLayer::new(AgentCallers::any().boxed())
}

impl RawAuth {
    /// The providers and the policies, by name.
    pub(super) fn known(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Known {
        let mut known = Known {
            is_there: true,
            ..Known::default()
        };
        let realm = match &self.realm {
            Some(realm) => checker
                .take(realm.referenced, realm.value.parse())
                .unwrap_or_default(),
            None => Realm::default(),
        };
        if self.providers.value.0.is_empty() {
            let message =
                "there is no provider, so that nobody could be let in: add one, or leave `auth` out";
            checker.wrong(self.providers.referenced, message);
        }
        for (name, provider) in &self.providers.value.0 {
            if matches!(provider.value, RawProvider::Certificate(_)) {
                known.certificates.get_or_insert(name.referenced);
            }
            let made = provider.value.check(provider.referenced, &realm, around, checker);
            known.add(name, made, checker);
        }
        for (name, policy) in &self.policies.0 {
            let made = policy.value.check(policy.referenced, &realm, &mut known, checker);
            known.add(name, made, checker);
        }
        known
    }

    /// The layer for these policies.
    pub(super) fn layer(
        &self,
        known: &mut Known,
        checker: &mut Checker<'_>,
    ) -> Option<AuthLayer<BoxAuthenticator>> {
        let is_public = self.default.value == PUBLIC;
        if !is_public {
            known.find(&self.default, checker);
        }
        let policies = Policies::new(known.usable()?).ok()?;
        let policies = match is_public {
            true => policies.public_by_default(),
            false => policies.default_policy(&self.default.value).ok()?,
        };
        self.around(policies, checker)
    }

    /// The layer for what agents ask: the same policies, but that any agent is taken by rules that name none.
    pub(super) fn layer_for_agents(
        &self,
        known: &Known,
        checker: &mut Checker<'_>,
    ) -> Option<AuthLayer<BoxAuthenticator>> {
        let any = (ANY_AGENT, AgentCallers::any().boxed());
        let policies = Policies::new(known.usable()?.into_iter().chain([any])).ok()?;
        self.around(policies.default_policy(ANY_AGENT).ok()?, checker)
    }

    /// The layer with everything else that the file says.
    fn around(
        &self,
        policies: Policies<BoxAuthenticator>,
        checker: &mut Checker<'_>,
    ) -> Option<AuthLayer<BoxAuthenticator>> {
        let header = self.principal_header.as_ref().map(|header| {
            let name = HeaderName::from_bytes(header.value.as_bytes())
                .map_err(|_| format!("`{}` is no header name: write one such as x-user", header.value));
            checker
                .take(header.referenced, name)
                .map(|name| (name, header.referenced))
        });
        let layer = AuthLayer::policies(policies);
        let layer = match header {
            Some(header) => {
                let (name, place) = header?;
                checker.take(place, layer.principal_header(name))?
            }
            None => layer,
        };
        let layer = match self.end_at_expiry {
            Some(grace) => layer.end_at_expiry(grace.0),
            None => layer,
        };
        Some(if self.strip_credentials {
            layer.strip_credentials()
        } else {
            layer
        })
    }
}

impl RawProvider {
    fn check(
        &self,
        place: Location,
        realm: &Realm,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        match self {
            Self::Basic(raw) => raw.check(realm, around, checker),
            Self::Bearer(raw) => bearer::check(raw, realm, around, checker),
            Self::Jwt(raw) => raw.check(place, realm, around, checker),
            Self::Introspection(raw) => raw.check(place, realm, around, checker),
            Self::Certificate(raw) => raw.check(realm, checker),
            Self::Agents(raw) => raw.check(realm, checker),
        }
    }
}

impl Known {
    /// All of them; none if one cannot be used.
    fn usable(&self) -> Option<Vec<(&str, BoxAuthenticator)>> {
        let policies = self.policies.iter();
        policies
            .map(|(name, policy)| Some((&**name, policy.clone()?)))
            .collect()
    }

    fn add(&mut self, name: &Spanned<String>, made: Option<BoxAuthenticator>, checker: &mut Checker<'_>) {
        let text = &name.value;
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || text == PUBLIC {
            let message = format!(
                "`{text}` is no name for a policy: use 1 to 128 visible ASCII characters, and not `{PUBLIC}`"
            );
            checker.wrong(name.referenced, message);
        } else if self.policies.insert(text.clone(), made).is_some() {
            let message =
                format!("there is a provider with the name `{text}` already: rules know both by their names");
            checker.wrong(name.referenced, message);
        } else {
            self.places.push((text.clone(), name.referenced));
        }
    }

    /// What stands under a name that something refers to.
    pub(super) fn find(
        &mut self,
        name: &Spanned<String>,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        if !self.is_there {
            let message = format!(
                "this file has no `auth`, so there is no policy `{}`: add it, or leave this out",
                name.value
            );
            checker.wrong(name.referenced, message);
            return None;
        }
        let Some(policy) = self.policies.get(&name.value) else {
            let known: Vec<&str> = self.policies.keys().map(String::as_str).collect();
            checker.wrong(name.referenced, yaml::unknown("policy", &name.value, &known));
            return None;
        };
        self.used.insert(name.value.clone());
        policy.clone()
    }

    /// Tells of what nothing refers to, and of certificates that no port asks for.
    pub(super) fn finish(&self, asks_for_certificates: bool, checker: &mut Checker<'_>) {
        if let Some(place) = self.certificates.filter(|_| !asks_for_certificates) {
            let message = "no port asks clients for certificates: give `listen` or `agents` a `tls` with `client_certificates`";
            checker.wrong(place, message);
        }
        for (name, place) in &self.places {
            if !self.used.contains(name) {
                checker.warn(*place, format_args!("no rule and no policy uses `{name}`"));
            }
        }
    }
}
