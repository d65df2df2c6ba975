//! Who asks, for which host, and how forwarding fields tell it.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, request,
    uri::{Authority, Scheme},
};

use super::{
    authority::{self, HostPort},
    fault::Fault,
    found::Found,
};
use crate::peer::PeerInfo;

/// What is said of a request's origin. It depends on the connection and on the host that the client names, on nothing else.
#[derive(Debug)]
pub(super) struct Origin {
    /// The host, unless it is HTTP/1.0 without `Host`.
    pub(super) host: Option<Named>,
    /// The address of the socket, as `X-Forwarded-For` has it.
    pub(super) addr: Option<HeaderValue>,
    /// One element of `Forwarded`.
    pub(super) element: HeaderValue,
    /// The host as the client wrote it, if that is known to be the only place where it did.
    raw: Bytes,
}

/// A host, and the value of a field that names it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) port: HostPort,
    pub(crate) value: HeaderValue,
}

impl Named {
    /// This host, in memory that `part` copies it to: what it is made of may be a part of a whole head.
    fn within(mut port: HostPort, part: impl FnOnce(&[u8]) -> Bytes) -> Result<Self, Fault> {
        let malformed = || Fault::malformed("the host is malformed");
        let text = part(port.authority.as_str().as_bytes());
        port.authority = Authority::from_maybe_shared(text.clone()).map_err(|_| malformed())?;
        let value = valid(text).ok_or_else(malformed)?;
        Ok(Self { port, value })
    }

    /// The host that this authority names.
    pub(crate) fn of(authority: &Authority, scheme: &Scheme) -> Result<Self, Fault> {
        Self::within(authority::canonical(authority, scheme)?, Bytes::copy_from_slice)
    }
}

/// The host of the first request that came through a session. Most agents serve few hosts, and each request names its own in the form that
/// admission gave it at the other end, so that little has to be parsed or written twice.
#[derive(Debug, Default)]
pub(crate) struct HostMemo(OnceLock<(Scheme, Named)>);

impl HostMemo {
    /// As [`Named::of`].
    pub(crate) fn named(&self, authority: &Authority, scheme: &Scheme) -> Result<Named, Fault> {
        if let Some((known, named)) = self.0.get()
            && named.port.authority.as_str() == authority.as_str()
            && known == scheme
        {
            return Ok(named.clone());
        }
        let named = Named::of(authority, scheme)?;
        // Only what is in the canonical form is found again.
        if self.0.get().is_none() && named.port.authority.as_str() == authority.as_str() {
            self.0.get_or_init(|| (scheme.clone(), named.clone()));
        }
        Ok(named)
    }
}

/// The origin of the first request of a connection. Those that follow come from the same address, and nearly all of them name
/// the same host in the same way, so nothing has to be parsed or written for them.
#[derive(Debug, Default)]
pub(crate) struct OriginMemo(OnceLock<First>);

#[derive(Debug)]
struct First {
    addr: Option<IpAddr>,
    scheme: Scheme,
    origin: Arc<Origin>,
}

impl OriginMemo {
    fn recall(&self, peer: &PeerInfo, raw: &[u8]) -> Option<Arc<Origin>> {
        let first = self.0.get()?;
        let is_same = *first.origin.raw == *raw && first.addr == address(peer) && first.scheme == peer.scheme;
        is_same.then(|| first.origin.clone())
    }

    fn keep(&self, peer: &PeerInfo, origin: &Arc<Origin>) {
        // Whoever comes first is kept; a connection that serves many hosts pays for each of the others.
        self.0.get_or_init(|| First {
            addr: address(peer),
            scheme: peer.scheme.clone(),
            origin: origin.clone(),
        });
    }
}

impl Origin {
    /// The origin of the request with this head.
    pub(super) fn of(parts: &request::Parts, found: Found, peer: &PeerInfo) -> Result<Arc<Self>, Fault> {
        let memo = peer.memo().zip(authority::only(parts, found));
        if let Some(origin) = memo.and_then(|(memo, raw)| memo.recall(peer, raw)) {
            return Ok(origin);
        }
        let host = authority::choose(parts, found, &peer.scheme)?;
        let raw = memo.map_or(&[][..], |(_, raw)| raw);
        let origin = Arc::new(Self::new(host, peer, raw)?);
        if let Some((memo, _)) = memo {
            memo.keep(peer, &origin);
        }
        Ok(origin)
    }

    /// Copies all of it into one block: the client's bytes stand in the buffer of a whole head, and who gets clones of several parts
    /// counts all of them in one place.
    fn new(host: Option<HostPort>, peer: &PeerInfo, raw: &[u8]) -> Result<Self, Fault> {
        let addr = address(peer).map(|addr| addr.to_string());
        let element = element(addr.as_deref(), host.as_ref(), &peer.scheme);
        let host_len = host.as_ref().map_or(0, |host| host.authority.as_str().len());
        let room = raw.len() + element.len() + addr.as_ref().map_or(0, String::len) + host_len;
        let mut block = BytesMut::with_capacity(room);
        let mut part = |text: &[u8]| {
            block.extend_from_slice(text);
            block.split().freeze()
        };
        Ok(Self {
            host: host.map(|host| Named::within(host, &mut part)).transpose()?,
            addr: addr.and_then(|addr| valid(part(addr.as_bytes()))),
            element: valid(part(element.as_bytes())).unwrap_or(HeaderValue::from_static("for=unknown")),
            raw: part(raw),
        })
    }
}

fn address(peer: &PeerInfo) -> Option<IpAddr> {
    peer.addr.map(|addr| addr.ip().to_canonical())
}

/// Addresses, hosts and what stands between them have only bytes that a value may have.
fn valid(text: Bytes) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(text).ok()
}

/// One element of `Forwarded` (RFC 7239, section 4). What is not a token has to be quoted: an IPv6 address, a host with a port.
fn element(addr: Option<&str>, host: Option<&HostPort>, scheme: &Scheme) -> String {
    let addr = addr.unwrap_or("unknown");
    let host = host.map(|host| host.authority.as_str());
    let mut text = String::with_capacity(48 + addr.len() + host.map_or(0, str::len));
    match addr.contains(':') {
        true => push(&mut text, &["for=\"[", addr, "]\""]),
        false => push(&mut text, &["for=", addr]),
    }
    match host {
        Some(host) if host.contains([':', '[']) => push(&mut text, &[";host=\"", host, "\""]),
        Some(host) => push(&mut text, &[";host=", host]),
        None => {}
    }
    push(&mut text, &[";proto=", proto(scheme)]);
    text
}

fn push(text: &mut String, pieces: &[&str]) {
    text.extend(pieces.iter().copied());
}

/// The scheme as forwarding fields name it.
pub(super) fn proto(scheme: &Scheme) -> &'static str {
    if *scheme == Scheme::HTTPS { "https" } else { "http" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_is_remembered_and_the_others_are_not_taken_for_it() {
        let memo = HostMemo::default();
        let named = |authority: &'static str, scheme: Scheme| {
            let named = memo.named(&Authority::from_static(authority), &scheme).unwrap();
            (named.value.to_str().unwrap().to_owned(), named.port.port)
        };
        for _ in 0..2 {
            assert_eq!(
                named("A.example", Scheme::HTTP).0,
                "a.example",
                "not in that form"
            );
            assert_eq!(
                named("a.example:443", Scheme::HTTP),
                ("a.example:443".into(), Some(443))
            );
            assert_eq!(named("a.example:443", Scheme::HTTPS), ("a.example".into(), None));
            assert_eq!(
                named("b.example:443", Scheme::HTTP),
                ("b.example:443".into(), Some(443))
            );
        }
        let (_, kept) = memo.0.get().unwrap();
        assert_eq!(kept.port.authority, "a.example:443");
        assert!(
            memo.named(&Authority::from_static("a..b"), &Scheme::HTTP)
                .is_err()
        );
    }
}
