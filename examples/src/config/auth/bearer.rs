//! Tokens that are configured.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::{
    Principal,
    auth::{Authenticator as _, BoxAuthenticator},
};
use tunnel_layers::auth::{BearerToken, BearerTokens, Realm};

use super::agents::{HOSTS, SERVICES, hosts};
use crate::config::{Surroundings, error::Checker, secret::TokenKeys, units::Secret};

/// A token, whose it is, and what is said of its bearer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBearerToken {
    name: Spanned<String>,
    token: Option<Spanned<Secret>>,
    token_env: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
}

pub(super) fn check(
    raw: &Spanned<Vec<Spanned<RawBearerToken>>>,
    realm: &Realm,
    around: &Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<BoxAuthenticator> {
    let mut tokens = Some(Vec::new());
    for token in &raw.value {
        let made = token.value.check(token, around, checker);
        tokens = tokens.zip(made).map(|(mut tokens, token)| {
            tokens.push(token);
            tokens
        });
    }
    let tokens = checker.take(raw.referenced, BearerTokens::new(tokens?))?;
    let named = checker.tokens().clone();
    let tokens = tokens.revoked_if(move |name| named.is_revoked(name));
    Some(tokens.realm(realm.clone()).boxed())
}

impl RawBearerToken {
    fn check(
        &self,
        place: &Spanned<Self>,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<BearerToken> {
        let keys = TokenKeys {
            token: self.token.as_ref(),
            token_env: self.token_env.as_ref(),
            token_file: self.token_file.as_ref(),
        };
        let owner = format!("the token `{}`", self.name.value);
        let (secret, location) = keys.resolve(&owner, place.referenced, around, checker)?;
        checker.tokens().note_caller(&self.name.value, &secret);
        let token = checker.take(location, BearerToken::new(&self.name.value, &secret.0))?;
        let token = token.claim(Principal::SCOPE, self.scopes.iter().map(String::as_str));
        let token = token.claim(Principal::GROUPS, self.groups.iter().map(String::as_str));
        let token = token.claim(SERVICES, self.services.iter().map(String::as_str));
        let hosts = hosts(&self.hosts, checker)?;
        Some(token.claim(HOSTS, hosts))
    }
}
