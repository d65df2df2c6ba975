//! Tokens that are configured.

use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tunnel_core::auth::{AuthRequest, Authenticator, Decision, Principal, Rejection};

use super::{AuthConfigError, Realm, authorization, challenge::BearerChallenge};

/// The shortest token that is taken, in bytes.
pub const MIN_TOKEN_BYTES: usize = 16;

/// The most tokens in one place: all of them are compared, each time.
pub const MAX_TOKENS: usize = 1_000;

/// A token and whose it is. Only its SHA-256 is kept: tokens have to be random, so that this is enough.
#[derive(Clone)]
pub struct BearerToken {
    principal: Principal,
    sha256: [u8; 32],
}

impl BearerToken {
    /// The token of a principal with this name.
    ///
    /// # Errors
    ///
    /// The token is shorter than [`MIN_TOKEN_BYTES`], or has characters that RFC 6750 does not allow.
    pub fn new(name: &str, token: &str) -> Result<Self, AuthConfigError> {
        if token.len() < MIN_TOKEN_BYTES {
            let problem = format!(
                "that of {name:?} has fewer than {MIN_TOKEN_BYTES} bytes: use `openssl rand -hex 32`"
            );
            return Err(AuthConfigError::new("bearer token", problem));
        }
        if token.len() > authorization::MAX_TOKEN_BYTES || authorization::token68(token.as_bytes()).is_none()
        {
            let problem = format!(
                "that of {name:?} has characters other than letters, digits and -._~+/, or is too long"
            );
            return Err(AuthConfigError::new("bearer token", problem));
        }
        Ok(Self::hashed(name, Sha256::digest(token).into()))
    }

    /// The same for a token of which only the SHA-256 is known here.
    #[must_use]
    pub fn hashed(name: &str, sha256: [u8; 32]) -> Self {
        Self {
            principal: Principal::new(name, "bearer"),
            sha256,
        }
    }

    /// Gives the principal a claim, such as [`Principal::SCOPE`].
    #[must_use]
    pub fn claim<V: Into<Box<str>>>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.principal = self.principal.with_claim(name, values);
        self
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// Takes callers that show one of some fixed tokens (RFC 6750, section 2.1). Several may belong to the same principal, so that
/// they can be changed one after the other.
///
/// A token is hashed, and compared with every one of them in constant time.
#[derive(Clone)]
pub struct BearerTokens {
    tokens: Arc<[BearerToken]>,
    challenge: BearerChallenge,
    revoked: Option<Arc<IsRevoked>>,
}

/// Whether the tokens of the principal with this name are taken back.
type IsRevoked = dyn Fn(&str) -> bool + Send + Sync;

impl BearerTokens {
    /// These tokens.
    ///
    /// # Errors
    ///
    /// There is none, or one twice, or more than [`MAX_TOKENS`].
    pub fn new(tokens: impl IntoIterator<Item = BearerToken>) -> Result<Self, AuthConfigError> {
        let tokens: Arc<[_]> = tokens.into_iter().collect();
        if tokens.is_empty() {
            return Err(AuthConfigError::empty("bearer tokens"));
        }
        if tokens.len() > MAX_TOKENS {
            let problem = format!("there are more than {MAX_TOKENS}");
            return Err(AuthConfigError::new("bearer tokens", problem));
        }
        for (index, token) in tokens.iter().enumerate() {
            if let Some(other) = tokens[..index].iter().find(|other| other.sha256 == token.sha256) {
                let names = [other, token].map(|token| token.principal.name());
                let problem = format!("{:?} and {:?} have the same", names[0], names[1]);
                return Err(AuthConfigError::new("bearer tokens", problem));
            }
        }
        Ok(Self {
            tokens,
            challenge: BearerChallenge::default(),
            revoked: None,
        })
    }

    /// What callers are told that the tokens are for.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.challenge = BearerChallenge::new(realm);
        self
    }

    /// Refuses the tokens of principals of whose name this says so, as if nobody knew them: for tokens that are taken back while the
    /// process runs. It is asked for each request whose token is right.
    #[must_use]
    pub fn revoked_if(mut self, is_revoked: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.revoked = Some(Arc::new(is_revoked));
        self
    }

    fn check(&self, request: &AuthRequest<'_>) -> Result<Principal, Rejection> {
        let shown: [u8; 32] = Sha256::digest(self.challenge.token(request.headers())?).into();
        let mut found = None;
        for token in self.tokens.iter() {
            // All of them, whichever matches, so that the time tells nothing.
            if bool::from(token.sha256.ct_eq(&shown)) {
                found = Some(&token.principal);
            }
        }
        let is_revoked = |principal: &&Principal| {
            self.revoked
                .as_ref()
                .is_some_and(|revoked| revoked(principal.name()))
        };
        match found.filter(|principal| !is_revoked(principal)) {
            Some(principal) => Ok(principal.clone()),
            None => Err(self.challenge.invalid("the token is not valid")),
        }
    }
}

impl Authenticator for BearerTokens {
    type Future = Ready<Result<Principal, Rejection>>;

    fn authenticate(&self, request: &AuthRequest<'_>) -> Self::Future {
        ready(self.check(request))
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<Self::Future> {
        Decision::Now(self.check(request))
    }
}

impl fmt::Debug for BearerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerTokens")
            .field("tokens", &self.tokens)
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}
