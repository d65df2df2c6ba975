//! The header that tells the service inside who calls.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tunnel_core::Principal;

use super::AuthConfigError;

/// Fields that mean something to HTTP, to servers behind us or to the tunnel, so that they cannot hold a name.
const TAKEN: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "grpc-timeout",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

#[derive(Clone, Debug)]
pub(super) struct PrincipalHeader(HeaderName);

impl PrincipalHeader {
    pub(super) fn new(name: HeaderName) -> Result<Self, AuthConfigError> {
        if TAKEN.contains(&name.as_str()) {
            let problem = format!("{name} means something else already: use a name of your own");
            return Err(AuthConfigError::new("principal header", problem));
        }
        Ok(Self(name))
    }

    /// Takes away what comes from outside under this name, or under one that CGI-like servers take for it.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        let forged: Vec<HeaderName> = headers
            .keys()
            .filter(|name| self.looks_like(name))
            .cloned()
            .collect();
        for name in forged {
            headers.remove(name);
        }
    }

    fn looks_like(&self, name: &HeaderName) -> bool {
        let (ours, theirs) = (self.0.as_str().bytes(), name.as_str().bytes());
        let hyphen = |byte| if byte == b'_' { b'-' } else { byte };
        ours.len() == theirs.len() && ours.zip(theirs).all(|(a, b)| hyphen(a) == hyphen(b))
    }

    pub(super) fn put(&self, headers: &mut HeaderMap, principal: &Principal) {
        headers.insert(&self.0, value(principal.name()));
    }
}

/// The name, so that it can be read in one way only and is a valid value.
fn value(name: &str) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b',') {
            encoded.push(byte);
        } else {
            encoded.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(encoded)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PrincipalHeader {
        PrincipalHeader::new(HeaderName::from_static("x-caller-name")).unwrap()
    }

    #[test]
    fn what_looks_like_it_is_taken_away() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-caller-name",
            "X-Caller-Name",
            "x_caller_name",
            "x-caller_name",
            "x-caller-names",
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_static("root"));
        }
        header().strip(&mut headers);
        let left: Vec<_> = headers.keys().collect();
        assert_eq!(left, ["x-caller-names"]);
    }

    #[test]
    fn any_name_is_a_value_that_is_read_in_one_way() {
        let told = |name: &str| {
            let mut headers = HeaderMap::new();
            header().put(&mut headers, &Principal::new(name, "test"));
            headers["x-caller-name"].to_str().unwrap().to_owned()
        };
        assert_eq!(told("spiffe://prod/web"), "spiffe://prod/web");
        assert_eq!(told("a,b %\r\né"), "a%2Cb%20%25%0D%0A%C3%A9");
        assert_eq!(told(""), "");
    }

    #[test]
    fn names_with_another_meaning_are_refused() {
        for name in TAKEN {
            let name = HeaderName::from_static(name);
            assert!(PrincipalHeader::new(name).is_err());
        }
    }
}
