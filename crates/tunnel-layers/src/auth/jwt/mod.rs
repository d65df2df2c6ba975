//! JSON Web Tokens (RFC 7519).

mod builder;
mod claims;
mod future;
mod keys;
mod remembered;
mod remote;
#[cfg(all(test, feature = "full"))]
mod tests;
mod verify;

use std::{fmt, sync::Arc};

use http::Uri;
use tunnel_core::auth::{AuthRequest, Authenticator, Principal, Rejection};

pub use self::{
    builder::{DEFAULT_JWT_REMEMBER, DEFAULT_LEEWAY, JwtBuilder, MAX_LEEWAY},
    future::JwtFuture,
    keys::{JwtKeys, MAX_KEYS, MIN_SECRET_BYTES},
    remote::{MAX_AGE, MIN_REFRESH_INTERVAL, REFRESH_AFTER},
};
use self::{
    remembered::Remembered,
    remote::Remote,
    verify::{Demands, Outcome},
};
use super::{AuthConfigError, HttpClient};

/// The algorithms that can be allowed.
pub use jsonwebtoken::Algorithm as JwtAlgorithm;

/// What is said of a token.
type Verdict = Result<Principal, Rejection>;

/// Takes callers that show a signed token of an issuer that is trusted (RFC 7519, as RFC 8725 wants it checked).
///
/// * The algorithm is one of a fixed list, and each key is good for its own algorithms only, whatever the token says. Keys that a
///   token brings or points to (`jwk`, `jku`, `x5c`) are not looked at.
/// * `exp` has to be there and in the future, `nbf` in the past if it is there; `iss` and `aud` have to be there and be among
///   those that were named.
/// * A token with critical extensions (`crit`), encrypted or compressed, is refused.
///
/// A token that was good is not verified again for [`DEFAULT_JWT_REMEMBER`], at most until it expires: a signature costs tens of
/// microseconds. What is remembered is the SHA-256 of the token, and only for the keys by which it was verified.
///
/// Keys are given, or published by the issuer at a URL. Those are asked for when the first token comes, again after
/// [`REFRESH_AFTER`], and when a token names a key that is not known, but not within [`MIN_REFRESH_INTERVAL`]. While the issuer
/// is out of reach, keys serve for [`MAX_AGE`]; without keys, callers are answered 503.
///
/// ```
/// use tunnel_layers::auth::{AuthLayer, Jwt, JwtAlgorithm, JwtKeys};
///
/// let keys = JwtKeys::new().secret(None, b"shared with the issuer and nobody else")?;
/// let jwt = Jwt::builder(keys)
///     .algorithm(JwtAlgorithm::HS256)
///     .issuer("https://id.example.com/")
///     .audience("api")
///     .build()?;
/// let layer = AuthLayer::new(jwt);
/// # Ok::<(), tunnel_layers::auth::AuthConfigError>(())
/// ```
#[derive(Clone)]
pub struct Jwt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    demands: Demands,
    remembered: Remembered,
}

#[derive(Debug)]
enum Source {
    Fixed(JwtKeys),
    Remote(Remote),
}

impl Shared {
    /// What these keys make of a token, unless they have said that it is good a moment ago.
    fn check(&self, token: &str, keys: &JwtKeys, generation: u64) -> Outcome {
        let check = || self.demands.check(token, keys);
        self.remembered.or_check(token, generation, check)
    }
}

impl Jwt {
    /// Verifies tokens by these keys.
    pub fn builder(keys: JwtKeys) -> JwtBuilder {
        JwtBuilder::fixed(keys)
    }

    /// Verifies tokens by the JWK Set that the issuer publishes at `uri`, which is asked for by `client`, on the tokio runtime
    /// that polls the futures.
    ///
    /// # Errors
    ///
    /// The scheme is not `http` or `https`.
    pub fn remote(uri: Uri, client: impl HttpClient) -> Result<JwtBuilder, AuthConfigError> {
        JwtBuilder::remote(uri, client)
    }
}

impl Authenticator for Jwt {
    type Future = JwtFuture;

    fn authenticate(&self, request: &AuthRequest<'_>) -> JwtFuture {
        let token = self.0.demands.challenge.token(request.headers());
        JwtFuture::new(self.0.clone(), token.map(Into::into))
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("source", &self.0.source)
            .field("algorithms", &self.0.demands.validations.len())
            .finish_non_exhaustive()
    }
}
