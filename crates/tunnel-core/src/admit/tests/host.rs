use http::uri::Scheme;

use super::*;

#[test]
fn one_way_to_write_a_host() {
    for (host, authority, name, port) in [
        ("example.com", "example.com", "example.com", None),
        ("EXAMPLE.Com", "example.com", "example.com", None),
        ("example.com.", "example.com", "example.com", None),
        ("example.com:80", "example.com", "example.com", None),
        ("example.com:", "example.com", "example.com", None),
        ("Example.com.:8080", "example.com:8080", "example.com", Some(8080)),
        ("example.com:0443", "example.com:443", "example.com", Some(443)),
        (
            "my_service-1:65535",
            "my_service-1:65535",
            "my_service-1",
            Some(65535),
        ),
        ("192.0.2.1:81", "192.0.2.1:81", "192.0.2.1", Some(81)),
        ("[::1]", "[::1]", "[::1]", None),
        ("[::1]:80", "[::1]", "[::1]", None),
        (
            "[2001:DB8:0:0::1]:8443",
            "[2001:db8::1]:8443",
            "[2001:db8::1]",
            Some(8443),
        ),
    ] {
        for parts in [
            with(bare(Version::HTTP_11, "/p?q"), &[("host", host)]),
            with(h2("/p?q"), &[("host", host)]),
            h2(&format!("http://{host}/p?q")),
        ] {
            let parts = admitted(parts);
            assert_eq!(parts.uri, *format!("http://{authority}/p?q"), "{host}");
            assert_eq!(values(&parts, "host"), [authority], "{host}");
            let canonical = canonical(&parts);
            assert_eq!(canonical.authority().unwrap(), authority);
            assert_eq!((canonical.host(), canonical.port()), (name, port), "{host}");
        }
    }
}

#[test]
fn a_malformed_host_is_refused() {
    let long = "a".repeat(254);
    for host in [
        "",
        ".",
        ":80",
        "a@b",
        "user:secret@example.com",
        "a/../b",
        "a b",
        "a,b",
        "a*b",
        "a%41",
        "a\\b",
        "a?b",
        "a#b",
        "a..b",
        ".a",
        "a..",
        "h\u{e9}te",
        "example.com:x",
        "example.com:+80",
        "example.com:0",
        "example.com:65536",
        "example.com:000080",
        "example.com:80:80",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:x",
        "[::1%25eth0]",
        "[v1.x]",
        "[192.0.2.1]",
        "[]",
        &long,
    ] {
        malformed(with(bare(Version::HTTP_11, "/"), &[("host", host)]));
        malformed(with(bare(Version::HTTP_10, "/"), &[("host", host)]));
        // It is refused where the target makes it superfluous, too.
        malformed(with(
            bare(Version::HTTP_11, "http://example.com/"),
            &[("host", host)],
        ));
        malformed(with(h2("http://example.com/"), &[("host", host)]));
    }
}

#[test]
fn a_malformed_authority_of_the_target_is_refused() {
    for uri in [
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://a..b/",
        "http://a*b/",
        "http://example.com:99999/",
        "http://[zz]/",
    ] {
        malformed(with(bare(Version::HTTP_11, uri), &[("host", "example.com")]));
        malformed(h2(uri));
    }
}

#[test]
fn http_1_1_needs_exactly_one_host() {
    malformed(bare(Version::HTTP_11, "/"));
    malformed(bare(Version::HTTP_11, "http://example.com/"));
    for second in ["example.com", "other.example"] {
        malformed(with(get("/"), &[("host", second)]));
        malformed(with(get("http://example.com/"), &[("host", second)]));
        malformed(with(h2("/"), &[("host", "example.com"), ("host", second)]));
    }
}

#[test]
fn the_absolute_form_wins_over_host() {
    let parts = admitted(with(
        bare(Version::HTTP_11, "http://A.example/p"),
        &[("host", "b.example")],
    ));
    assert_eq!(parts.uri, "http://a.example/p");
    assert_eq!(values(&parts, "host"), ["a.example"]);
    assert_eq!(canonical(&parts).host(), "a.example");
}

#[test]
fn http_1_0_may_have_no_host() {
    let parts = admitted(bare(Version::HTTP_10, "/p?q"));
    assert_eq!(parts.uri, "/p?q");
    assert!(!parts.headers.contains_key("host"));
    let found = canonical(&parts);
    assert_eq!((found.authority(), found.host(), found.port()), (None, "", None));

    let parts = admitted(bare(Version::HTTP_10, "http://example.com/p"));
    assert_eq!(values(&parts, "host"), ["example.com"]);
}

#[test]
fn http_2_needs_an_authority_that_host_does_not_contradict() {
    malformed(h2("/"));
    for host in ["other.example", "example.com:81", "example.com.evil", "[::1]"] {
        malformed(with(h2("http://example.com/"), &[("host", host)]));
    }
    for host in ["example.com", "EXAMPLE.com", "example.com:80", "example.com."] {
        let parts = admitted(with(h2("http://example.com/"), &[("host", host)]));
        assert_eq!(values(&parts, "host"), ["example.com"]);
    }
}

#[test]
fn the_scheme_is_the_entrys_and_its_port_is_left_out() {
    let mut tls = peer();
    tls.scheme = Scheme::HTTPS;
    for (uri, expected) in [
        ("http://example.com:443/", "https://example.com/"),
        ("http://example.com:80/", "https://example.com:80/"),
        ("https://example.com/", "https://example.com/"),
    ] {
        let parts = try_with(h2(uri), &tls, &Policy::new()).unwrap();
        assert_eq!(parts.uri, expected);
        assert_eq!(*canonical(&parts).scheme(), Scheme::HTTPS);
    }
    malformed(h2("ftp://example.com/"));
    malformed(get("gopher://example.com/"));
}
