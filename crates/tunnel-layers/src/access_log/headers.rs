//! Which headers are logged.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that hold secrets, which no list may name.
const SECRETS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-amz-security-token",
    "sec-websocket-protocol",
];

/// A header that is not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedHeader {
    name: String,
    is_secret: bool,
}

impl fmt::Display for RefusedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        if self.is_secret {
            write!(f, "the header `{name}` holds secrets, and is never logged")
        } else {
            write!(f, "`{name}` is no name of a header")
        }
    }
}

impl std::error::Error for RefusedHeader {}

/// The headers of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Logged(Arc<[HeaderName]>);

impl Logged {
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, RefusedHeader> {
        let names = names.into_iter().map(|name| {
            let refused = |is_secret| RefusedHeader {
                name: name.to_owned(),
                is_secret,
            };
            let parsed: HeaderName = name.parse().map_err(|_| refused(false))?;
            match SECRETS.contains(&parsed.as_str()) {
                true => Err(refused(true)),
                false => Ok(parsed),
            }
        });
        Ok(Self(names.collect::<Result<_, _>>()?))
    }

    /// Their values, the first of each; those that are marked as sensitive stay secret.
    pub(super) fn of(&self, headers: &HeaderMap) -> Box<[(HeaderName, HeaderValue)]> {
        let values = self.0.iter().filter_map(|name| {
            let value = headers.get(name).filter(|value| !value.is_sensitive())?;
            Some((name.clone(), value.clone()))
        });
        values.collect()
    }
}
