use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName, header};
use tunnel_core::balance::key_hash;

use super::ByAddress;

/// What has to come to the same agent again: requests with the same header, cookie or address.
///
/// Unlike a [`Key`](super::Key), it is the same number in every process, so that all gateways send a caller to the same agent. It is no
/// secret: callers who choose their header or cookie choose among the agents.
#[derive(Clone, Debug)]
pub struct HashKey(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Header(HeaderName),
    Cookie(String),
    Address(ByAddress),
}

impl HashKey {
    /// The first header with this name.
    #[must_use]
    pub const fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// The first cookie with this name (RFC 6265, section 4.2).
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Kind::Cookie(name.into()))
    }

    /// The address of the other end, or what counts of it.
    #[must_use]
    pub const fn address(by: ByAddress) -> Self {
        Self(Kind::Address(by))
    }

    /// The number of a request with this head; `None` if it lacks what is looked for, so that it may go to anyone.
    #[must_use]
    pub fn hash(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<u64> {
        match &self.0 {
            Kind::Header(name) => headers.get(name).map(|value| key_hash(value.as_bytes())),
            Kind::Cookie(name) => cookie(headers, name).map(key_hash),
            Kind::Address(by) => by.counted(headers, extensions).map(|address| match address {
                IpAddr::V4(address) => key_hash(&address.octets()),
                IpAddr::V6(address) => key_hash(&address.octets()),
            }),
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        pair.trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")
    })
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use http::HeaderValue;
    use tunnel_core::PeerInfo;

    use super::*;

    fn of(key: &HashKey, cookies: &[&'static str], peer: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        let mut extensions = Extensions::new();
        extensions.insert(PeerInfo::plaintext(peer.parse().unwrap()));
        key.hash(&headers, &extensions)
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let key = HashKey::cookie("sid");
        let a = of(&key, &["sid=a"], "192.0.2.1:1");
        assert_eq!(a, Some(key_hash(b"a")));
        assert_eq!(of(&key, &["xsid=b; sidx=c;sid=a"], "192.0.2.2:1"), a);
        assert_eq!(of(&key, &["other=1", " sid=a "], "192.0.2.2:1"), a);
        assert_ne!(of(&key, &["sid=b"], "192.0.2.1:1"), a);
        assert_eq!(of(&key, &["sidx=a"], "192.0.2.1:1"), None);
    }

    #[test]
    fn addresses_count_as_limits_count_them() {
        let key = HashKey::address(ByAddress::new());
        let one = of(&key, &[], "192.0.2.1:1");
        assert_eq!(one, of(&key, &[], "192.0.2.1:2"));
        assert_ne!(one, of(&key, &[], "192.0.2.2:1"));
        assert_eq!(of(&key, &[], "[2001:db8::1]:1"), of(&key, &[], "[2001:db8::2]:1"));
        let whole = HashKey::address(ByAddress::new().ipv6_prefix(128));
        assert_ne!(
            of(&whole, &[], "[2001:db8::1]:1"),
            of(&whole, &[], "[2001:db8::2]:1")
        );
    }
}
