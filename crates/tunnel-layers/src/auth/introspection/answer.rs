//! What an authorization server says of a token (RFC 7662, section 2.2).

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tunnel_core::Principal;

/// The fields that mean something to us; a field that comes twice makes the answer invalid.
#[derive(Deserialize)]
pub(super) struct Answer {
    active: bool,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    aud: Option<OneOrMany>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    groups: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What tokens have to be beside active.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    pub(super) issuer: Option<Box<str>>,
    pub(super) audience: Option<Box<str>>,
}

impl Answer {
    /// Whose the token is, or why it is not taken. The server has the last word about `active`; the times and names that it
    /// tells are checked all the same, because they are cheap and servers have bugs.
    pub(super) fn judge(self, demands: &Demands, now: SystemTime) -> Result<Principal, &'static str> {
        if !self.active {
            return Err("the token is not valid");
        }
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err("the token has expired");
        }
        if self.nbf.is_some_and(|nbf| nbf > now) {
            return Err("the token is not valid yet");
        }
        if let Some(issuer) = &demands.issuer
            && self.iss.as_deref() != Some(issuer)
        {
            return Err("the token's issuer is not trusted");
        }
        if let Some(audience) = &demands.audience
            && !self
                .aud
                .as_ref()
                .is_some_and(|aud| aud.all().iter().any(|one| **one == **audience))
        {
            return Err("the token is meant for somebody else");
        }
        self.principal().ok_or("the token does not say whose it is")
    }

    fn principal(self) -> Option<Principal> {
        let name = [self.sub, self.username, self.client_id.clone()]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())?;
        let scopes = self.scope.unwrap_or_default();
        let mut principal = Principal::new(name, "introspection")
            .with_claim(Principal::SCOPE, scopes.split_ascii_whitespace())
            .with_claim("client_id", self.client_id);
        if let Some(groups) = &self.groups {
            principal = principal.with_claim(Principal::GROUPS, groups.all().iter().map(String::as_str));
        }
        let expires = self.exp.and_then(|exp| {
            let since = Duration::try_from_secs_f64(exp).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(since)
        });
        Some(match expires {
            Some(expires) => principal.with_expiry(expires),
            None => principal,
        })
    }
}
