use std::{
    error::Error,
    fmt,
    future::{Ready, ready},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use tunnel_core::BoxError;

/// Knows the credentials for requests that go out.
pub trait Credentials: Send + Sync + 'static {
    /// The value of `authorization`, or why there is none.
    type Future: Future<Output = Result<HeaderValue, BoxError>> + Send + 'static;

    /// The credentials for one request. What they are must be marked as
    /// [sensitive](HeaderValue::set_sensitive), so that nobody prints it.
    fn credentials(&self) -> Self::Future;

    /// The server has not taken these: it answered 401, or UNAUTHENTICATED. The request is not sent again, since nobody has
    /// its body any more; the next one should have others.
    fn refused(&self, credentials: &HeaderValue) {
        let _ = credentials;
    }
}

/// Credentials that never change.
#[derive(Clone)]
pub struct FixedCredentials(HeaderValue);

/// Credentials that cannot stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCredentials(&'static str);

impl FixedCredentials {
    /// A bearer token (RFC 6750).
    ///
    /// # Errors
    ///
    /// It is empty, or has bytes other than visible ASCII.
    pub fn bearer(token: &str) -> Result<Self, InvalidCredentials> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidCredentials(
                "the token has to be of visible ASCII characters",
            ));
        }
        Self::value(format!("Bearer {token}"))
    }

    /// A user name and a password (RFC 7617), in UTF-8.
    ///
    /// # Errors
    ///
    /// One has control characters, or the name has a colon.
    pub fn basic(user: &str, password: &str) -> Result<Self, InvalidCredentials> {
        if user.contains(':') {
            return Err(InvalidCredentials("the user name has a colon, which ends it"));
        }
        if user.chars().chain(password.chars()).any(char::is_control) {
            return Err(InvalidCredentials(
                "the user name or the password has control characters",
            ));
        }
        Self::value(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    fn value(text: String) -> Result<Self, InvalidCredentials> {
        let mut value =
            HeaderValue::try_from(text).map_err(|_| InvalidCredentials("they cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn into_value(self) -> HeaderValue {
        self.0
    }
}

impl Credentials for FixedCredentials {
    type Future = Ready<Result<HeaderValue, BoxError>>;

    fn credentials(&self) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

impl fmt::Debug for FixedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedCredentials").finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credentials that cannot be: {}", self.0)
    }
}

impl Error for InvalidCredentials {}
