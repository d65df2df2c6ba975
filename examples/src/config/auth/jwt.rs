//! JSON Web Tokens.

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::auth::{Authenticator as _, BoxAuthenticator};
use tunnel_layers::auth::{AuthConfigError, Jwt, JwtAlgorithm, JwtBuilder, JwtKeys, Realm};

use super::client::client;
use crate::config::{
    Surroundings,
    error::Checker,
    secret::TokenKeys,
    tls::{self, RawClientTls},
    units::{Secret, Time},
    yaml,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJwt {
    algorithms: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    issuers: Vec<String>,
    #[serde(default)]
    any_issuer: bool,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    any_audience: bool,
    leeway: Option<Spanned<Time>>,
    remember: Option<Time>,
    keys_file: Option<Spanned<String>>,
    jwks_url: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "tls::present")]
    tls: Option<Spanned<RawClientTls>>,
    secret: Option<Spanned<Secret>>,
    secret_env: Option<Spanned<String>>,
    secret_file: Option<Spanned<String>>,
    token_type: Option<String>,
    name_claim: Option<String>,
    groups_claim: Option<String>,
    #[serde(default)]
    keep_claims: Vec<String>,
}

/// Those that can be allowed.
const ALGORITHMS: [(&str, JwtAlgorithm); 12] = [
    ("RS256", JwtAlgorithm::RS256),
    ("RS384", JwtAlgorithm::RS384),
    ("RS512", JwtAlgorithm::RS512),
    ("PS256", JwtAlgorithm::PS256),
    ("PS384", JwtAlgorithm::PS384),
    ("PS512", JwtAlgorithm::PS512),
    ("ES256", JwtAlgorithm::ES256),
    ("ES384", JwtAlgorithm::ES384),
    ("EdDSA", JwtAlgorithm::EdDSA),
    ("HS256", JwtAlgorithm::HS256),
    ("HS384", JwtAlgorithm::HS384),
    ("HS512", JwtAlgorithm::HS512),
];

impl RawJwt {
    pub(super) fn check(
        &self,
        place: Location,
        realm: &Realm,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        let algorithms: Vec<_> = self
            .algorithms
            .value
            .iter()
            .map(|name| algorithm(name, checker))
            .collect();
        let (mut jwt, keys) = self.keys(place, around, checker)?;
        for algorithm in algorithms {
            jwt = jwt.algorithm(algorithm?);
        }
        jwt = self.issuers.iter().fold(jwt, |jwt, issuer| jwt.issuer(issuer));
        jwt = self
            .audiences
            .iter()
            .fold(jwt, |jwt, audience| jwt.audience(audience));
        jwt = self
            .keep_claims
            .iter()
            .fold(jwt, |jwt, claim| jwt.keep_claim(claim.as_str()));
        if self.any_issuer {
            jwt = jwt.any_issuer();
        }
        if self.any_audience {
            jwt = jwt.any_audience();
        }
        if let Some(leeway) = &self.leeway {
            jwt = jwt.leeway(leeway.value.0);
        }
        if let Some(time) = self.remember {
            jwt = jwt.remember(time.0);
        }
        if let Some(kind) = &self.token_type {
            jwt = jwt.token_type(kind.as_str());
        }
        if let Some(claim) = &self.name_claim {
            jwt = jwt.name_claim(claim.as_str());
        }
        if let Some(claim) = &self.groups_claim {
            jwt = jwt.groups_claim(claim.as_str());
        }
        match jwt.realm(realm.clone()).build() {
            Ok(jwt) => Some(jwt.boxed()),
            Err(error) => {
                checker.wrong(self.place_of(&error, keys, place), told(&error));
                None
            }
        }
    }

    /// What verifies by the keys, and the place that names them.
    fn keys(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<(JwtBuilder, Location)> {
        let secret = TokenKeys {
            token: self.secret.as_ref(),
            token_env: self.secret_env.as_ref(),
            token_file: self.secret_file.as_ref(),
        };
        if let (Some(tls), None) = (&self.tls, &self.jwks_url) {
            checker.wrong(tls.referenced, "`tls` is for `jwks_url`: leave it out");
        }
        match (&self.keys_file, &self.jwks_url, secret.is_empty()) {
            (Some(file), None, true) => {
                let keys = JwtKeys::read(around.reads(&file.value));
                let keys = checker.take(file.referenced, keys)?;
                Some((Jwt::builder(keys), file.referenced))
            }
            (None, Some(url), true) => {
                let (uri, upstream) = client(url, self.tls.as_ref(), around, checker)?;
                let jwt = checker.take(url.referenced, Jwt::remote(uri, upstream))?;
                Some((jwt, url.referenced))
            }
            (None, None, false) => {
                let (secret, place) = secret.resolve("the issuer", place, around, checker)?;
                let keys = checker.take(place, JwtKeys::new().secret(None, secret.0.as_bytes()))?;
                Some((Jwt::builder(keys), place))
            }
            _ => {
                let message = "the keys come from one place: give one of `keys_file: PATH` (PEM or a JWK Set), `jwks_url: URL` and \
                               `secret_env: NAME` (for HS256)";
                checker.wrong(place, message);
                None
            }
        }
    }

    fn place_of(&self, error: &AuthConfigError, keys: Location, place: Location) -> Location {
        match error.part() {
            "algorithms" => self.algorithms.referenced,
            "keys" => keys,
            "leeway" => self.leeway.as_ref().map_or(place, |leeway| leeway.referenced),
            _ => place,
        }
    }
}

/// With the keys of the file for what has to be said.
fn told(error: &AuthConfigError) -> String {
    match error.part() {
        "issuer" => {
            "say whose tokens are good: one of `issuers: [https://id.example.com/]` and `any_issuer: true`"
                .to_owned()
        }
        "audience" => {
            "say whom tokens have to be for: one of `audiences: [api]` and `any_audience: true`".to_owned()
        }
        _ => error.to_string(),
    }
}

fn algorithm(name: &Spanned<String>, checker: &mut Checker<'_>) -> Option<JwtAlgorithm> {
    let found = ALGORITHMS.iter().find(|(known, _)| *known == name.value);
    if found.is_none() {
        let known = ALGORITHMS.map(|(known, _)| known);
        checker.wrong(name.referenced, yaml::unknown("algorithm", &name.value, &known));
    }
    found.map(|(_, algorithm)| *algorithm)
}
