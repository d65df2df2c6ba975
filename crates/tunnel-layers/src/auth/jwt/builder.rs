use std::{sync::Arc, time::Duration};

use http::Uri;
use jsonwebtoken::{Algorithm, crypto::aws_lc};

use super::{
    Jwt, Remembered, Shared, Source, claims::Mapping, keys::JwtKeys, remote::Remote, verify::Demands,
};
use crate::auth::{AuthConfigError, Realm, challenge::BearerChallenge, fetch::HttpClient};

/// How far clocks may be apart, unless set otherwise.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// The most that clocks may be apart: more would keep tokens alive that are dead.
pub const MAX_LEEWAY: Duration = Duration::from_secs(600);

/// How long a token that was good is not verified again, unless set otherwise.
pub const DEFAULT_JWT_REMEMBER: Duration = Duration::from_secs(60);

/// What a [`Jwt`] has to know.
#[derive(Debug)]
#[must_use]
pub struct JwtBuilder {
    source: Source,
    algorithms: Vec<Algorithm>,
    issuers: Vec<String>,
    any_issuer: bool,
    audiences: Vec<String>,
    any_audience: bool,
    leeway: Duration,
    token_type: Option<Box<str>>,
    mapping: Mapping,
    remember: Duration,
    realm: Realm,
}

impl JwtBuilder {
    pub(super) fn fixed(keys: JwtKeys) -> Self {
        Self::new(Source::Fixed(keys))
    }

    pub(super) fn remote(uri: Uri, client: impl HttpClient) -> Result<Self, AuthConfigError> {
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(AuthConfigError::new(
                "keys",
                "the address is none of http or https",
            ));
        }
        Ok(Self::new(Source::Remote(Remote::new(uri, client))))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            algorithms: Vec::new(),
            issuers: Vec::new(),
            any_issuer: false,
            audiences: Vec::new(),
            any_audience: false,
            leeway: DEFAULT_LEEWAY,
            token_type: None,
            mapping: Mapping::default(),
            remember: DEFAULT_JWT_REMEMBER,
            realm: Realm::default(),
        }
    }

    /// Allows this algorithm, beside those that were named before. At least one has to be.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithms.push(algorithm);
        self
    }

    /// Trusts this issuer (`iss`), beside those that were named before.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Trusts whoever has a key. Good only where no key is used for anything else.
    pub fn any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Takes tokens for this audience (`aud`), beside those that were named before: the name by which the issuer knows us.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Takes tokens whoever they are meant for, so that others who get them can use them here. Good only where there are no
    /// others.
    pub fn any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// How far our clock and the issuer's may be apart, in whole seconds: at most [`MAX_LEEWAY`]. [`DEFAULT_LEEWAY`] unless set.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Takes only tokens of this type (`typ`), such as `at+jwt` (RFC 9068), so that a token for another purpose is none here.
    pub fn token_type(mut self, token_type: impl Into<Box<str>>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// The claim that is the principal's name; `sub` unless set.
    pub fn name_claim(mut self, claim: impl Into<Box<str>>) -> Self {
        self.mapping.name = claim.into();
        self
    }

    /// The claim that has the principal's groups; `groups` unless set.
    pub fn groups_claim(mut self, claim: impl Into<Box<str>>) -> Self {
        self.mapping.groups = claim.into();
        self
    }

    /// Keeps this claim for the principal, under its own name.
    pub fn keep_claim(mut self, claim: impl Into<Box<str>>) -> Self {
        self.mapping.kept.push(claim.into());
        self
    }

    /// How long a token that was good is not verified again, at most until it expires or the issuer's keys are read anew; zero
    /// verifies every request. [`DEFAULT_JWT_REMEMBER`] unless set.
    pub fn remember(mut self, time: Duration) -> Self {
        self.remember = time;
        self
    }

    /// What callers are told that their tokens are for.
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = realm;
        self
    }

    /// Makes the authenticator.
    ///
    /// # Errors
    ///
    /// There is no key, no algorithm, no issuer or no audience, and nobody said that any will do; an algorithm has no key that
    /// could serve it; or the leeway is too large.
    pub fn build(self) -> Result<Jwt, AuthConfigError> {
        self.check()?;
        // Unless the process has chosen already. Without a choice, the library panics where both of its backends are built in.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        let validation = |&algorithm: &Algorithm| {
            let validation = Demands::validation(algorithm, &self.issuers, &self.audiences, self.leeway);
            (algorithm, validation)
        };
        let demands = Demands {
            validations: self.algorithms.iter().map(validation).collect(),
            has_issuer: !self.issuers.is_empty(),
            token_type: self.token_type,
            mapping: self.mapping,
            challenge: BearerChallenge::new(self.realm),
        };
        Ok(Jwt(Arc::new(Shared {
            source: self.source,
            demands,
            remembered: Remembered::new(self.remember),
        })))
    }

    fn check(&self) -> Result<(), AuthConfigError> {
        if self.algorithms.is_empty() {
            return Err(AuthConfigError::empty("algorithms"));
        }
        if let Source::Fixed(keys) = &self.source {
            if keys.is_empty() {
                return Err(AuthConfigError::empty("keys"));
            }
            if let Some(algorithm) = self.algorithms.iter().find(|algorithm| !keys.serves(**algorithm)) {
                let problem = format!("none could have made a signature by {algorithm:?}");
                return Err(AuthConfigError::new("keys", problem));
            }
        }
        let is_either = |some: bool, any: bool| some != any;
        if !is_either(!self.issuers.is_empty(), self.any_issuer) {
            let problem = "name those that are trusted, or say that any is, and not both";
            return Err(AuthConfigError::new("issuer", problem));
        }
        if !is_either(!self.audiences.is_empty(), self.any_audience) {
            let problem = "name those that we are, or say that any will do, and not both";
            return Err(AuthConfigError::new("audience", problem));
        }
        if self.leeway > MAX_LEEWAY {
            return Err(AuthConfigError::new("leeway", "it is more than 10 minutes"));
        }
        Ok(())
    }
}
