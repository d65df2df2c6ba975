//! What a verified token says of its bearer.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use tunnel_core::Principal;

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// Which claims make the principal.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) name: Box<str>,
    pub(super) groups: Box<str>,
    /// Others that are kept under their own names.
    pub(super) kept: Vec<Box<str>>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            name: "sub".into(),
            groups: "groups".into(),
            kept: Vec::new(),
        }
    }
}

impl Mapping {
    /// None if the token does not say whose it is.
    pub(super) fn principal(&self, claims: &Claims) -> Option<Principal> {
        let name = claims
            .get(&*self.name)?
            .as_str()
            .filter(|name| !name.is_empty())?;
        let mut principal = Principal::new(name, "jwt")
            .with_claim(Principal::SCOPE, scopes(claims))
            .with_claim(Principal::GROUPS, values(claims.get(&*self.groups)));
        for name in &self.kept {
            principal = principal.with_claim(name.clone(), values(claims.get(&**name)));
        }
        Some(match claims.get("exp").and_then(date) {
            Some(expires) => principal.with_expiry(expires),
            None => principal,
        })
    }
}

/// A list with spaces between (RFC 8693, section 4.2), or a list of JSON; some issuers call it `scp`.
fn scopes(claims: &Claims) -> Vec<Box<str>> {
    let claim = claims.get("scope").or_else(|| claims.get("scp"));
    match claim {
        Some(Value::String(text)) => text.split_ascii_whitespace().map(Into::into).collect(),
        other => values(other),
    }
}

/// A text, number or truth value, or a list of them. Other values say nothing that could be compared.
fn values(claim: Option<&Value>) -> Vec<Box<str>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match claim {
        Some(Value::Array(list)) => list.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn date(seconds: &Value) -> Option<SystemTime> {
    let seconds = Duration::try_from_secs_f64(seconds.as_f64()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn principal(claims: &Value) -> Option<Principal> {
        let mapping = Mapping {
            kept: vec!["tenant".into(), "admin".into()],
            ..Mapping::default()
        };
        mapping.principal(claims.as_object()?)
    }

    #[test]
    fn claims_are_lists_of_text_whatever_form_they_had() {
        let told = principal(&json!({
            "sub": "alice", "scope": "read  write", "groups": ["staff", 7, null, {"a": 1}], "tenant": "acme", "admin": true,
            "other": "x", "exp": 10.5,
        }))
        .unwrap();
        let expected = Principal::new("alice", "jwt")
            .with_claim("scope", ["read", "write"])
            .with_claim("groups", ["staff", "7"])
            .with_claim("tenant", ["acme"])
            .with_claim("admin", ["true"])
            .with_expiry(SystemTime::UNIX_EPOCH + Duration::from_millis(10_500));
        assert_eq!(told, expected);
        assert!(
            principal(&json!({"sub": "a", "scp": ["x", "y"]}))
                .unwrap()
                .has("scope", "y")
        );
    }

    #[test]
    fn a_token_has_to_say_whose_it_is() {
        for claims in [
            json!({}),
            json!({"sub": ""}),
            json!({"sub": 7}),
            json!({"sub": ["a"]}),
        ] {
            assert!(principal(&claims).is_none());
        }
    }

    #[test]
    fn a_time_that_cannot_be_is_no_time() {
        for exp in [json!(-1), json!(1e300), json!("10"), json!(null)] {
            assert_eq!(
                principal(&json!({"sub": "a", "exp": exp})).unwrap().expires(),
                None
            );
        }
    }
}
