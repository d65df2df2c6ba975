//! `Forwarded` (RFC 7239) and `X-Forwarded-*`: who asked, for which host, by which scheme.
//!
//! What an outside client says about itself is worth nothing, so it is dropped, and these are set from the socket. A peer
//! that the policy trusts is a proxy that did the same: what it says is kept, and continued with its own address. Many
//! proxies speak only one of the two dialects; only that one is then continued, so that the upstream never gets two stories.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED, uri::Scheme};

use super::{
    found::Found,
    origin::{Origin, proto},
};

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
pub(super) fn apply(
    headers: &mut HeaderMap,
    found: Found,
    origin: &Origin,
    scheme: &Scheme,
    is_trusted: bool,
) {
    if found.has(Found::SPOOFABLE) && is_trusted {
        remove(headers, |name| name.contains('_') && is_spoofable(name));
        go_on(headers, origin, scheme);
        return;
    }
    if found.has(Found::SPOOFABLE) {
        remove_untrusted(headers);
    }
    headers.insert(FORWARDED, origin.element.clone());
    if let Some(addr) = &origin.addr {
        headers.insert(X_FORWARDED_FOR, addr.clone());
    }
    if let Some(host) = &origin.host {
        headers.insert(X_FORWARDED_HOST, host.value.clone());
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto(scheme)));
}

/// Continues what a trusted peer says, in the dialect that it speaks.
fn go_on(headers: &mut HeaderMap, origin: &Origin, scheme: &Scheme) {
    let speaks_forwarded = headers.contains_key(FORWARDED);
    let speaks_x = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO]
        .iter()
        .any(|name| headers.contains_key(name));
    if speaks_forwarded || !speaks_x {
        append(headers, FORWARDED, &origin.element);
    }
    if speaks_x || !speaks_forwarded {
        if let Some(addr) = &origin.addr {
            append(headers, X_FORWARDED_FOR, addr);
        }
        if let Some(host) = &origin.host {
            headers
                .entry(X_FORWARDED_HOST)
                .or_insert_with(|| host.value.clone());
        }
        headers
            .entry(X_FORWARDED_PROTO)
            .or_insert(HeaderValue::from_static(proto(scheme)));
    }
}

/// Removes every forwarding field.
pub(super) fn remove_untrusted(headers: &mut HeaderMap) {
    remove(headers, is_spoofable);
}

fn remove(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
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
pub(super) fn is_spoofable(name: &str) -> bool {
    if !matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't' | b'c')) {
        return false;
    }
    if !name.contains('_') {
        return name.starts_with("x-forwarded-") || SPOOFABLE.contains(&name);
    }
    let same = |one: &str, other: &str| {
        let hyphens = one.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
        one.len() == other.len() && hyphens.eq(other.bytes())
    };
    let prefix = "x-forwarded-";
    name.get(..prefix.len()).is_some_and(|start| same(start, prefix))
        || SPOOFABLE.iter().any(|other| same(name, other))
        || FRAMING.iter().any(|other| same(name, other))
}

/// Makes one field of all the lists under `name` and this member.
fn append(headers: &mut HeaderMap, name: HeaderName, member: &HeaderValue) {
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
