use std::net::SocketAddr;

use http::uri::Scheme;

use super::*;

const NAMES: [&str; 4] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

fn shown(parts: &Parts) -> [Vec<String>; 4] {
    NAMES.map(|name| values(parts, name))
}

fn from(addr: &str) -> PeerInfo {
    PeerInfo::plaintext(addr.parse::<SocketAddr>().unwrap())
}

fn trusting() -> Policy {
    Policy::new().trusted_peers(["192.0.2.0/24".parse().unwrap()])
}

#[test]
fn the_socket_says_who_asked() {
    let mut tls = from("203.0.113.5:1");
    tls.scheme = Scheme::HTTPS;
    for (peer, host, expected) in [
        (
            from("203.0.113.5:1"),
            "example.com",
            [
                "for=203.0.113.5;host=example.com;proto=http",
                "203.0.113.5",
                "example.com",
                "http",
            ],
        ),
        (
            tls,
            "Example.com:8443",
            [
                "for=203.0.113.5;host=\"example.com:8443\";proto=https",
                "203.0.113.5",
                "example.com:8443",
                "https",
            ],
        ),
        (
            from("[2001:db8::5]:1"),
            "[::1]",
            [
                "for=\"[2001:db8::5]\";host=\"[::1]\";proto=http",
                "2001:db8::5",
                "[::1]",
                "http",
            ],
        ),
        (
            from("[::ffff:203.0.113.5]:1"),
            "example.com",
            [
                "for=203.0.113.5;host=example.com;proto=http",
                "203.0.113.5",
                "example.com",
                "http",
            ],
        ),
    ] {
        let parts = with(bare(Version::HTTP_11, "/"), &[("host", host)]);
        let parts = try_with(parts, &peer, &Policy::new()).unwrap();
        assert_eq!(shown(&parts), expected.map(|value| vec![value.to_owned()]));
    }
}

#[test]
fn an_unknown_peer_has_no_address() {
    let parts = try_with(bare(Version::HTTP_10, "/"), &PeerInfo::unknown(), &trusting()).unwrap();
    let expected = [
        vec!["for=unknown;proto=http".to_owned()],
        vec![],
        vec![],
        vec!["http".to_owned()],
    ];
    assert_eq!(shown(&parts), expected);
}

#[test]
fn what_a_client_says_about_itself_is_dropped() {
    let spoofed = [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Ssl",
        "X-Forwarded-Client-Cert",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Fastly-Client-IP",
        "Front-End-Https",
        "X-Original-URL",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X_Forwarded_For",
        "X-Forwarded_Proto",
        "x_real_ip",
        "Content_Length",
        "Transfer_Encoding",
    ];
    for policy in [
        Policy::new(),
        Policy::new().trusted_peers(["198.51.100.0/24".parse().unwrap()]),
    ] {
        let mut parts = with(get("/"), &[("x-custom_name", "kept"), ("x-real-name", "kept")]);
        for name in spoofed {
            set(&mut parts, name, "forged");
            set(&mut parts, name, "forged");
        }
        let parts = try_with(parts, &peer(), &policy).unwrap();
        assert!(
            parts.headers.values().all(|value| value != "forged"),
            "{:?}",
            parts.headers
        );
        assert_eq!(values(&parts, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(values(&parts, "x-forwarded-proto"), ["http"]);
        assert_eq!(values(&parts, "x-custom_name"), ["kept"]);
        assert_eq!(values(&parts, "x-real-name"), ["kept"]);
    }
}

#[test]
fn what_a_trusted_proxy_says_is_continued() {
    let said = [
        ("forwarded", "for=203.0.113.5;proto=https"),
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-for", "203.0.113.5"),
        ("x-forwarded-host", "public.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "203.0.113.5"),
        ("x_forwarded_for", "forged"),
    ];
    let parts = try_with(with(get("/"), &said), &peer(), &trusting()).unwrap();
    let expected = [
        "for=203.0.113.5;proto=https, for=192.0.2.7;host=example.com;proto=http",
        "198.51.100.1, 203.0.113.5, 192.0.2.7",
        "public.example",
        "https",
    ];
    assert_eq!(shown(&parts), expected.map(|value| vec![value.to_owned()]));
    assert_eq!(values(&parts, "x-forwarded-port"), ["443"]);
    assert_eq!(values(&parts, "x-real-ip"), ["203.0.113.5"]);
    assert!(!parts.headers.contains_key("x_forwarded_for"));
}

#[test]
fn only_the_dialect_that_a_trusted_proxy_speaks_is_continued() {
    let parts = with(get("/"), &[("x-forwarded-for", "203.0.113.5")]);
    let parts = try_with(parts, &peer(), &trusting()).unwrap();
    assert!(!parts.headers.contains_key("forwarded"));
    assert_eq!(values(&parts, "x-forwarded-for"), ["203.0.113.5, 192.0.2.7"]);
    assert_eq!(values(&parts, "x-forwarded-proto"), ["http"]);

    let parts = with(get("/"), &[("forwarded", "for=203.0.113.5")]);
    let parts = try_with(parts, &peer(), &trusting()).unwrap();
    assert_eq!(
        values(&parts, "forwarded"),
        ["for=203.0.113.5, for=192.0.2.7;host=example.com;proto=http"]
    );
    assert!(
        !parts
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-forwarded-"))
    );

    let parts = try_with(get("/"), &peer(), &trusting()).unwrap();
    assert!(shown(&parts).iter().all(|values| values.len() == 1));
}

#[test]
fn trust_is_by_the_socket_on_both_families() {
    let parts = with(get("/"), &[("x-forwarded-for", "203.0.113.5")]);
    let parts = try_with(parts, &from("[::ffff:192.0.2.9]:1"), &trusting()).unwrap();
    assert_eq!(values(&parts, "x-forwarded-for"), ["203.0.113.5, 192.0.2.9"]);
}

#[test]
fn what_is_kept_for_a_connection_changes_nothing() {
    let to = |host: &str| {
        let mut parts = get("/");
        parts.headers.insert("host", HeaderValue::from_str(host).unwrap());
        parts
    };
    let all = |peer: &PeerInfo, parts: Parts| {
        let parts = try_with(parts, peer, &Policy::new()).unwrap();
        let canonical = canonical(&parts);
        let host = (canonical.host().to_owned(), canonical.port());
        (parts.uri.clone(), values(&parts, "host"), host, shown(&parts))
    };
    let kept = from("203.0.113.5:1").of_connection();
    for host in [
        "a.example:81",
        "A.example:81",
        "b.example",
        "a.example:81",
        "b.example.",
        "a.example",
    ] {
        assert_eq!(
            all(&kept, to(host)),
            all(&from("203.0.113.5:1"), to(host)),
            "{host}"
        );
    }
    let in_target = || with(get("http://c.example/"), &[]);
    assert_eq!(all(&kept, in_target()), all(&from("203.0.113.5:1"), in_target()));

    let mut tls = kept.clone();
    tls.scheme = Scheme::HTTPS;
    tls.addr = from("203.0.113.6:1").addr;
    let mut fresh = from("203.0.113.6:1");
    fresh.scheme = Scheme::HTTPS;
    assert_eq!(all(&tls, to("a.example:81")), all(&fresh, to("a.example:81")));
}

#[test]
fn two_hosts_are_refused_whatever_is_kept() {
    let kept = peer().of_connection();
    try_with(get("/"), &kept, &Policy::new()).unwrap();
    let twice = with(get("/"), &[("host", "example.com")]);
    assert!(try_with(twice, &kept, &Policy::new()).is_err());
}
