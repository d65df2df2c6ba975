use http::{HeaderValue, Request, header};
use tunnel_core::{PeerInfo, Routed, Target};

use super::*;
use crate::{admission::admit, test_util::request};

fn parts(change: impl FnOnce(&mut Request<()>)) -> Parts {
    let mut request = request("/").map(|_| ());
    change(&mut request);
    request.into_parts().0
}

/// As from this address.
fn from(address: &str) -> Parts {
    let address = address.parse().unwrap();
    parts(|request| {
        let peer = PeerInfo::plaintext(std::net::SocketAddr::new(address, 1));
        request.extensions_mut().insert(peer);
    })
}

fn same(by: &impl KeyExtractor, one: &Parts, other: &Parts) -> bool {
    let (one, other) = (by.key(&one.into()), by.key(&other.into()));
    assert!(one.is_some() && other.is_some());
    one == other
}

#[test]
fn addresses_count_whole_or_by_their_prefix() {
    let by = ByAddress::new();
    assert!(same(&by, &from("192.0.2.1"), &from("192.0.2.1")));
    assert!(!same(&by, &from("192.0.2.1"), &from("192.0.2.2")));
    assert!(same(&by, &from("192.0.2.1"), &from("::ffff:192.0.2.1")));
    assert!(!same(&by, &from("::ffff:192.0.2.1"), &from("::ffff:192.0.2.2")));
    assert!(same(&by, &from("2001:db8:0:1::1"), &from("2001:db8:0:1:ffff::2")));
    assert!(!same(&by, &from("2001:db8:0:1::1"), &from("2001:db8:0:2::1")));

    let by = ByAddress::new().ipv6_prefix(56);
    assert!(same(&by, &from("2001:db8:0:1::1"), &from("2001:db8:0:ff::1")));
    assert!(!same(&by, &from("2001:db8:0:1::1"), &from("2001:db8:0:100::1")));
    for bits in [128, 255] {
        let by = ByAddress::new().ipv6_prefix(bits);
        assert!(!same(&by, &from("2001:db8::1"), &from("2001:db8::2")));
    }
    let by = ByAddress::new().ipv6_prefix(0);
    assert!(same(&by, &from("2001:db8::1"), &from("fe80::2")));
    assert!(!same(&by, &from("192.0.2.1"), &from("192.0.2.2")));
}

#[test]
fn what_a_request_lacks_is_one_key() {
    let (bare, other) = (
        parts(|_| ()),
        parts(|request| *request.uri_mut() = "/x".parse().unwrap()),
    );
    let by_header = ByHeader::new(header::AUTHORIZATION);
    assert!(same(&ByAddress::new(), &bare, &other));
    assert!(same(&ByRoute, &bare, &other) && same(&ByGroup, &bare, &other));
    assert!(same(&by_header, &bare, &other) && same(&Everyone, &bare, &other));

    let empty = parts(|request| {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, HeaderValue::from_static(""));
    });
    assert!(!same(&by_header, &bare, &empty));
}

#[test]
fn behind_proxies_the_one_counts_that_the_outermost_saw() {
    let claims = |text: &'static str, trusted: bool| {
        let mut request = request("/");
        let peer = PeerInfo::plaintext("10.0.0.1:1".parse().unwrap());
        request.extensions_mut().insert(peer);
        if trusted {
            let policy = tunnel_core::admit::Policy::new().trusted_peers(["10.0.0.0/8".parse().unwrap()]);
            request.extensions_mut().insert(std::sync::Arc::new(policy));
        }
        request
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::from_static(text));
        admit(request).unwrap().into_parts().0
    };
    let by = ByAddress::new().behind_proxies(1);
    assert_eq!(address(&by, &claims("192.0.2.1", false)), "10.0.0.1".parse().ok());
    for (proxies, text, expected) in [
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "203.0.113.9, 192.0.2.1", "192.0.2.1"),
        (2, "203.0.113.9, 192.0.2.1 , 10.0.0.2", "192.0.2.1"),
        (9, "203.0.113.9, 192.0.2.1", "203.0.113.9"),
        (1, "[2001:db8::1]:80", "2001:db8::1"),
        (1, "192.0.2.1:80", "192.0.2.1"),
        (1, "unknown", "10.0.0.1"),
        (usize::MAX, "192.0.2.1", "192.0.2.1"),
    ] {
        let parts = claims(text, true);
        let by = ByAddress::new().behind_proxies(proxies);
        assert_eq!(address(&by, &parts), expected.parse().ok(), "{proxies} {text}");
    }
}

fn address(by: &ByAddress, parts: &Parts) -> Option<std::net::IpAddr> {
    tunnel_core::ClientAddress::from(*by).find(&parts.headers, &parts.extensions)
}

#[test]
fn routes_groups_and_pairs() {
    let routed = |rule: &str, target: Target| {
        parts(|request| {
            request.extensions_mut().insert(Routed::new(rule, target));
        })
    };
    let group = || Target::Group("a".parse().unwrap());
    let (one, two) = (routed("one", group()), routed("two", group()));
    let upstream = routed("one", Target::Upstream("a".into()));
    assert!(!same(&ByRoute, &one, &two) && same(&ByGroup, &one, &two));
    assert!(same(&ByRoute, &one, &upstream) && !same(&ByGroup, &one, &upstream));
    assert!(!same(&(ByGroup, ByRoute), &one, &two) && same(&(ByGroup, ByRoute), &one, &one));

    let nobody = |_: &Head<'_>| None::<Key>;
    let one = Head::from(&one);
    assert!((ByRoute, nobody).key(&one).is_none() && (nobody, ByRoute).key(&one).is_none());
}

#[test]
fn nothing_of_a_key_is_printed() {
    assert_eq!(format!("{:?}", Key::of("hush")), "Key(..)");
}
