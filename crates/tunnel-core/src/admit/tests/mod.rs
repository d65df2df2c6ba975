//! `admit` as its callers see it, rule by rule.

mod forwarded;
mod framing;
mod hop;
mod hops;
mod host;
mod properties;
mod target;
mod whole;

use http::{HeaderName, HeaderValue, Method, Request, Version, request::Parts};

use super::{Canonical, Policy, admit};
use crate::{
    error::{Cause, Initiator, Sent, TunnelError},
    peer::PeerInfo,
};

/// A request that is taken as it stands, to be spoiled by a test.
fn get(uri: &str) -> Parts {
    let mut parts = bare(Version::HTTP_11, uri);
    set(&mut parts, "host", "example.com");
    parts
}

fn bare(version: Version, uri: &str) -> Parts {
    Request::builder()
        .version(version)
        .uri(uri)
        .body(())
        .unwrap()
        .into_parts()
        .0
}

fn h2(uri: &str) -> Parts {
    bare(Version::HTTP_2, uri)
}

/// Adds a field; a field of the same name stays.
fn set(parts: &mut Parts, name: &str, value: impl AsRef<[u8]>) {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
    parts.headers.append(name, value);
}

fn with(mut parts: Parts, fields: &[(&str, &str)]) -> Parts {
    for (name, value) in fields {
        set(&mut parts, name, value);
    }
    parts
}

fn method(mut parts: Parts, method: Method) -> Parts {
    parts.method = method;
    parts
}

fn peer() -> PeerInfo {
    PeerInfo::plaintext("192.0.2.7:50000".parse().unwrap())
}

fn try_with(mut parts: Parts, peer: &PeerInfo, policy: &Policy) -> Result<Parts, TunnelError> {
    let before = parts.clone();
    match admit(&mut parts, peer, policy) {
        Ok(()) => Ok(parts),
        Err(error) => {
            assert_eq!(
                (&parts.uri, &parts.headers),
                (&before.uri, &before.headers),
                "changed"
            );
            assert!(!super::is_admitted(&parts.extensions), "half admitted");
            assert_eq!((error.initiator(), error.sent()), (Initiator::Caller, Sent::No));
            Err(error)
        }
    }
}

#[track_caller]
fn admitted(parts: Parts) -> Parts {
    try_with(parts, &peer(), &Policy::new()).unwrap()
}

/// Admits, and shows one field's values.
#[track_caller]
fn values(parts: &Parts, name: &str) -> Vec<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    parts.headers.get_all(name).iter().map(text).collect()
}

#[track_caller]
fn canonical(parts: &Parts) -> &Canonical {
    parts.extensions.get().unwrap()
}

#[track_caller]
fn refused(parts: Parts, policy: &Policy) -> Cause {
    match try_with(parts, &peer(), policy) {
        Ok(parts) => panic!("admitted: {parts:?}"),
        Err(error) => error.cause(),
    }
}

#[track_caller]
fn malformed(parts: Parts) {
    assert_eq!(refused(parts, &Policy::new()), Cause::Malformed);
}
