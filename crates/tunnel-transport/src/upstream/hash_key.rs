//! What keeps requests together.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Request, header};
use tunnel_core::{ClientAddress, balance::key_hash};

/// What of a request has to come to the same endpoint again. A request that has none of it goes to any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The first value of this header.
    Header(HeaderName),
    /// The value of the cookie with this name.
    Cookie(Box<str>),
    /// The address of the caller: of the other end of the connection where this process is the entry, else of what the gateway wrote
    /// into `x-forwarded-for`; behind proxies what these saw.
    Address(ClientAddress),
}

impl HashKey {
    /// The hash of what this finds in a request.
    pub(super) fn hash<B>(&self, request: &Request<B>) -> Option<u64> {
        let (extensions, headers) = (request.extensions(), request.headers());
        match self {
            Self::Header(name) => headers.get(name).map(|value| key_hash(value.as_bytes())),
            Self::Cookie(name) => cookie(headers, name).map(key_hash),
            Self::Address(by) => match by.counted(by.find_behind(headers, extensions)?) {
                IpAddr::V4(address) => Some(key_hash(&address.octets())),
                IpAddr::V6(address) => Some(key_hash(&address.octets())),
            },
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tunnel_core::PeerInfo;

    use super::*;

    const ADDRESS: HashKey = HashKey::Address(ClientAddress::new());

    #[test]
    fn keys_are_found_where_they_stand() {
        let request = Request::builder()
            .header("x-user", "ann")
            .header("cookie", "a=1; session=ann")
            .header("cookie", "xsession=bob")
            .header("x-forwarded-for", "192.0.2.1, 192.0.2.2")
            .body(())
            .unwrap();
        let ann = Some(key_hash(b"ann"));
        assert_eq!(
            HashKey::Header(HeaderName::from_static("x-user")).hash(&request),
            ann
        );
        assert_eq!(HashKey::Cookie("session".into()).hash(&request), ann);
        assert_eq!(HashKey::Cookie("essio".into()).hash(&request), None);
        assert_eq!(ADDRESS.hash(&request), Some(key_hash(&[192, 0, 2, 2])));
        let behind = HashKey::Address(ClientAddress::new().behind_proxies(1));
        assert_eq!(behind.hash(&request), Some(key_hash(&[192, 0, 2, 1])));
    }

    #[test]
    fn the_address_is_that_of_the_connection_where_there_is_one() {
        let mut request = Request::new(());
        assert_eq!(ADDRESS.hash(&request), None);
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:1".parse().unwrap();
        request.extensions_mut().insert(PeerInfo::plaintext(mapped));
        assert_eq!(ADDRESS.hash(&request), Some(key_hash(&[192, 0, 2, 7])));
    }
}
