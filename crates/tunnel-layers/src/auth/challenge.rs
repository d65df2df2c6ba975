//! `WWW-Authenticate` as RFC 6750 and RFC 7617 ask for it.

use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderMap, HeaderValue};
use tunnel_core::auth::{Refusal, Rejection};

use super::{AuthConfigError, authorization};

/// What callers are told that their credentials are for: 1 to 64 characters of visible ASCII and spaces, without `"` and `\`.
/// `tunnel` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(Arc<str>);

/// The longest realm, in bytes: people read it.
const MAX_REALM_BYTES: usize = 64;

impl FromStr for Realm {
    type Err = AuthConfigError;

    fn from_str(text: &str) -> Result<Self, AuthConfigError> {
        let fits = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if (1..=MAX_REALM_BYTES).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.into()));
        }
        let problem = format!("use 1 to {MAX_REALM_BYTES} characters of ASCII, without '\"' and '\\'");
        Err(AuthConfigError::new("realm", problem))
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("tunnel".into())
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is said to callers that do not show a token that is valid.
#[derive(Clone, Debug, Default)]
pub(super) struct BearerChallenge {
    realm: Realm,
}

impl BearerChallenge {
    pub(super) const fn new(realm: Realm) -> Self {
        Self { realm }
    }

    /// The one token of the request.
    pub(super) fn token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Rejection> {
        match authorization::credentials(headers, "bearer") {
            Ok(None) => Err(self.missing()),
            Ok(Some(token)) if token.len() > authorization::MAX_TOKEN_BYTES => {
                Err(self.invalid("the token is too long"))
            }
            Ok(Some(token)) => authorization::token68(token)
                .ok_or_else(|| self.invalid("the token has characters that no token has")),
            Err(authorization::Twice) => {
                Err(self.malformed("the request has more than one Authorization field"))
            }
        }
    }

    /// RFC 6750, section 3.1: a request without credentials is told no error.
    pub(super) fn missing(&self) -> Rejection {
        let challenge = header(format!("Bearer realm=\"{}\"", self.realm));
        Rejection::missing("the request has no bearer token").with_challenge(challenge)
    }

    pub(super) fn invalid(&self, message: &'static str) -> Rejection {
        let challenge = self.error("invalid_token", message);
        Rejection::invalid(message).with_challenge(challenge)
    }

    fn malformed(&self, message: &'static str) -> Rejection {
        let challenge = self.error("invalid_request", message);
        Rejection::new(Refusal::Malformed, message).with_challenge(challenge)
    }

    /// The scopes are those that would do, as RFC 6749 writes them.
    pub(super) fn insufficient(&self, scopes: &str) -> HeaderValue {
        let mut text = format!("Bearer realm=\"{}\", error=\"insufficient_scope\"", self.realm);
        if !scopes.is_empty() {
            text.push_str(&format!(", scope=\"{scopes}\""));
        }
        header(text)
    }

    fn error(&self, error: &str, description: &str) -> HeaderValue {
        let realm = &self.realm;
        header(format!(
            "Bearer realm=\"{realm}\", error=\"{error}\", error_description=\"{description}\""
        ))
    }
}

/// All parts were checked when they were made; if not, a challenge that says less is still one.
pub(super) fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer realm=\"tunnel\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(values: &[&'static str]) -> Result<String, Rejection> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_static(value));
        }
        let challenge = BearerChallenge::new("a realm".parse().unwrap());
        challenge.token(&headers).map(str::to_owned)
    }

    fn told(values: &[&'static str]) -> (Refusal, String) {
        let rejection = ask(values).unwrap_err();
        let challenge = rejection.challenges()[0].to_str().unwrap().to_owned();
        (rejection.refusal(), challenge)
    }

    #[test]
    fn one_token_is_read_however_the_scheme_is_written() {
        for value in ["Bearer a.b-c_~+/==", "bearer a.b-c_~+/==", "BEARER   a.b-c_~+/=="] {
            assert_eq!(ask(&[value]).unwrap(), "a.b-c_~+/==");
        }
    }

    #[test]
    fn nothing_of_ours_is_missing_and_no_error() {
        let nothing = (Refusal::Missing, "Bearer realm=\"a realm\"".to_owned());
        assert_eq!(told(&[]), nothing);
        assert_eq!(told(&["Basic dTpw"]), nothing);
        assert_eq!(told(&["Bearerx y"]), nothing);
    }

    #[test]
    fn what_is_no_token_is_invalid() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a,b",
            "Bearer =a",
            "Bearer \"a\"",
        ] {
            let (refusal, challenge) = told(&[value]);
            assert_eq!(refusal, Refusal::Invalid, "{value}");
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
    }

    #[test]
    fn two_fields_are_one_too_many() {
        let (refusal, challenge) = told(&["Bearer a", "Bearer a"]);
        assert_eq!(refusal, Refusal::Malformed);
        assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
        assert_eq!(told(&["Basic a", "Bearer a"]).0, Refusal::Malformed);
    }

    #[test]
    fn a_long_token_is_refused() {
        let mut headers = HeaderMap::new();
        let token = "a".repeat(authorization::MAX_TOKEN_BYTES + 1);
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let rejection = BearerChallenge::default().token(&headers).unwrap_err();
        assert_eq!(rejection.refusal(), Refusal::Invalid);
    }

    #[test]
    fn realms_that_would_break_out_of_their_quotes_are_refused() {
        for realm in ["", "a\"b", "a\\b", "a\nb", "é", &"a".repeat(65)] {
            assert!(realm.parse::<Realm>().is_err(), "{realm}");
        }
        assert_eq!("my app".parse::<Realm>().unwrap().to_string(), "my app");
    }
}
