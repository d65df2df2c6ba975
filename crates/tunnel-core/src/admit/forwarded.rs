//! `Forwarded` (RFC 7239) and `X-Forwarded-*`: who asked, for which host, by which scheme.
//!
//! What an outside client says about itself is worth nothing, so it is dropped, and these are set from the socket. A peer
//! that the policy trusts is a proxy that did the same: what it says is kept, and continued with its own address. Many
//! proxies speak only one of the two dialects; only that one is then continued, so that the upstream never gets two stories.

use std::{fmt::Write, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED, uri::Scheme};

use super::{authority::HostPort, policy::Policy};
use crate::peer::PeerInfo;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Names by which common proxies tell where a request came from, and names by which some frameworks take another target than
/// the request line's. Believing a client's would let it choose its address or pass a rule by. Beside them stands all of
/// `x-forwarded-*`.
const SPOOFABLE: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "front-end-https",
];

/// Names that are dangerous only where somebody takes an underscore for a hyphen.
const FRAMING: &[&str] = &["content-length", "transfer-encoding"];

/// Drops what is not to be believed and says what the socket says.
pub(super) fn apply(headers: &mut HeaderMap, peer: &PeerInfo, host: Option<&HostPort>, policy: &Policy) {
    let addr = peer.addr.map(|addr| addr.ip().to_canonical());
    if addr.is_some_and(|addr| policy.trusts(addr)) {
        remove(headers, |name| name.contains('_') && is_spoofable(name));
    } else {
        remove_untrusted(headers);
    }
    // After the removal, whatever is left is from a trusted peer.
    let speaks_forwarded = headers.contains_key(FORWARDED);
    let speaks_x = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO]
        .iter()
        .any(|name| headers.contains_key(name));
    if speaks_forwarded || !speaks_x {
        append(headers, FORWARDED, &element(addr, host, &peer.scheme));
    }
    if speaks_x || !speaks_forwarded {
        apply_x(headers, addr, host, &peer.scheme);
    }
}

fn apply_x(headers: &mut HeaderMap, addr: Option<IpAddr>, host: Option<&HostPort>, scheme: &Scheme) {
    if let Some(addr) = addr {
        append(headers, X_FORWARDED_FOR, &addr.to_string());
    }
    if let Some(host) = host
        && !headers.contains_key(X_FORWARDED_HOST)
        && let Ok(value) = HeaderValue::from_str(host.authority.as_str())
    {
        headers.insert(X_FORWARDED_HOST, value);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        let value = if *scheme == Scheme::HTTPS { "https" } else { "http" };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(value));
    }
}

/// Removes every forwarding field.
pub(super) fn remove_untrusted(headers: &mut HeaderMap) {
    remove(headers, is_spoofable);
}

fn remove(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    // Mostly there is none, and nothing is allocated.
    let unwanted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// Whether this name, in lower case, tells where a request came from: with hyphens, or with underscores, which CGI-like
/// servers cannot tell from hyphens.
fn is_spoofable(name: &str) -> bool {
    if !matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't' | b'c')) {
        return false;
    }
    let same = |one: &str, other: &str| {
        one.bytes()
            .map(|byte| if byte == b'_' { b'-' } else { byte })
            .eq(other.bytes())
    };
    let prefix = "x-forwarded-";
    name.get(..prefix.len()).is_some_and(|start| same(start, prefix))
        || SPOOFABLE.iter().any(|other| same(name, other))
        || (name.contains('_') && FRAMING.iter().any(|other| same(name, other)))
}

/// One element of `Forwarded`. What is not a token has to be quoted: an IPv6 address, a host with a port.
fn element(addr: Option<IpAddr>, host: Option<&HostPort>, scheme: &Scheme) -> String {
    let mut text = String::with_capacity(64);
    // Writing to a `String` cannot fail.
    let _ = match addr {
        None => write!(text, "for=unknown"),
        Some(IpAddr::V4(addr)) => write!(text, "for={addr}"),
        Some(IpAddr::V6(addr)) => write!(text, "for=\"[{addr}]\""),
    };
    if let Some(host) = host {
        let authority = host.authority.as_str();
        let quote = if authority.contains([':', '[']) { "\"" } else { "" };
        let _ = write!(text, ";host={quote}{authority}{quote}");
    }
    let proto = if *scheme == Scheme::HTTPS { "https" } else { "http" };
    let _ = write!(text, ";proto={proto}");
    text
}

/// Makes one field of all the lists under `name` and this member.
fn append(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let mut list = Vec::with_capacity(member.len());
    for value in headers.get_all(&name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member.as_bytes());
    // Values that were valid one by one are valid when joined by valid bytes.
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(list)) {
        headers.insert(name, value);
    }
}
