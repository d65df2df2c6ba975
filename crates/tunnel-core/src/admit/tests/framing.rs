use super::*;

#[test]
fn transfer_encoding_is_one_chunked_and_stands_alone() {
    let te = "transfer-encoding";
    for value in ["chunked", "Chunked", " chunked "] {
        let parts = admitted(with(get("/"), &[(te, value.trim())]));
        assert!(!parts.headers.contains_key(te), "{value}");
    }
    for fields in [
        &[(te, "chunked, chunked")][..],
        &[(te, "gzip, chunked")],
        &[(te, "chunked, gzip")],
        &[(te, "gzip")],
        &[(te, "identity")],
        &[(te, "")],
        &[(te, ",chunked")],
        &[(te, "chunked;q=1")],
        &[(te, "xchunked")],
        &[(te, "\"chunked\"")],
        &[(te, "chunked"), (te, "chunked")],
        &[(te, "gzip"), (te, "chunked")],
        &[(te, "chunked"), (te, "identity")],
        &[(te, "chunked"), ("content-length", "5")],
    ] {
        malformed(with(get("/"), fields));
    }
    malformed(with(bare(Version::HTTP_10, "/"), &[(te, "chunked")]));
    // HTTP/2 has its own framing; the field is only in the way.
    let parts = admitted(with(h2("http://example.com/"), &[(te, "chunked")]));
    assert!(!parts.headers.contains_key(te));
}

#[test]
fn content_length_is_one_number() {
    let cl = "content-length";
    for fields in [
        &[(cl, "5")][..],
        &[(cl, "5"), (cl, "5")],
        &[(cl, "5"), (cl, "5"), (cl, "5")],
    ] {
        for parts in [get("/"), h2("http://example.com/")] {
            assert_eq!(values(&admitted(with(parts, fields)), cl), ["5"]);
        }
    }
    for fields in [
        &[(cl, "5"), (cl, "6")][..],
        &[(cl, "5"), (cl, "5"), (cl, "6")],
        &[(cl, "5"), (cl, "05")],
        &[(cl, "5, 5")],
        &[(cl, "5, 6")],
        &[(cl, "")],
        &[(cl, "+5")],
        &[(cl, "-5")],
        &[(cl, "0x5")],
        &[(cl, "5 ")],
        &[(cl, "5.0")],
        &[(cl, "18446744073709551616")],
    ] {
        malformed(with(get("/"), fields));
        malformed(with(h2("http://example.com/"), fields));
    }
}

#[test]
fn expect_is_100_continue_or_nothing() {
    let parts = admitted(with(get("/"), &[("expect", "100-Continue")]));
    assert_eq!(values(&parts, "expect"), ["100-Continue"]);
    for fields in [
        &[("expect", "200-ok")][..],
        &[("expect", "y 100-continue")],
        &[("expect", "100-continue, x")],
        &[("expect", "")],
        &[("expect", "100-continue"), ("expect", "100-continue")],
    ] {
        malformed(with(get("/"), fields));
    }
    let parts = admitted(with(bare(Version::HTTP_10, "/"), &[("expect", "100-continue")]));
    assert!(!parts.headers.contains_key("expect"));
}

#[test]
fn cookies_split_by_http_2_are_joined() {
    let crumbs = [
        ("cookie", "a=1"),
        ("x", "y"),
        ("cookie", "b=2"),
        ("cookie", "c=3"),
    ];
    let parts = admitted(with(h2("http://example.com/"), &crumbs));
    assert_eq!(values(&parts, "cookie"), ["a=1; b=2; c=3"]);
    // HTTP/1.1 has no such splitting, and what came in comes out.
    let parts = admitted(with(get("/"), &crumbs));
    assert_eq!(values(&parts, "cookie"), ["a=1", "b=2", "c=3"]);
}

#[test]
fn a_joined_cookie_keeps_its_bytes_and_its_secrecy() {
    let mut parts = h2("http://example.com/");
    set(&mut parts, "cookie", b"a=\xff");
    let mut secret = HeaderValue::from_static("b=2");
    secret.set_sensitive(true);
    parts.headers.append("cookie", secret);
    let parts = admitted(parts);
    assert_eq!(parts.headers["cookie"].as_bytes(), b"a=\xff; b=2");
    assert!(parts.headers["cookie"].is_sensitive());
}
