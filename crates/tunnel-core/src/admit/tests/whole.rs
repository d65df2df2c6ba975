use std::sync::Arc;

use super::super::{ensure, is_admitted};
use super::*;

#[test]
fn limits() {
    let uri = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    let policy = Policy::new().max_uri_bytes(20);
    try_with(get(&uri(20)), &peer(), &policy).unwrap();
    assert_eq!(refused(get(&uri(21)), &policy), Cause::UriTooLong);
    // Scheme and authority count.
    try_with(get("http://example.com/a"), &peer(), &policy).unwrap();
    assert_eq!(refused(get("http://example.com/ab"), &policy), Cause::UriTooLong);

    let policy = Policy::new().max_fields(3);
    let fields = [("a", "1"), ("a", "2"), ("a", "3")];
    try_with(with(get("/"), &fields[..2]), &peer(), &policy).unwrap();
    assert_eq!(refused(with(get("/"), &fields), &policy), Cause::HeadTooLarge);

    // "GET / HTTP/1.1\r\n" and "host: example.com\r\n".
    let policy = Policy::new().max_head_bytes(16 + 19);
    try_with(get("/"), &peer(), &policy).unwrap();
    assert_eq!(refused(get("/a"), &policy), Cause::HeadTooLarge);
    assert_eq!(
        refused(with(get("/"), &[("a", "")]), &policy),
        Cause::HeadTooLarge
    );
}

#[test]
fn limits_by_default() {
    let uri = format!("/{}", "a".repeat(8 * 1024));
    assert_eq!(refused(get(&uri), &Policy::new()), Cause::UriTooLong);
    admitted(get(&uri[1..].replacen('a', "/", 1)));
    let mut parts = get("/");
    for _ in 0..99 {
        set(&mut parts, "a", "");
    }
    admitted(parts.clone());
    set(&mut parts, "a", "");
    assert_eq!(refused(parts, &Policy::new()), Cause::HeadTooLarge);
    let mut parts = get("/");
    set(&mut parts, "a", "b".repeat(32 * 1024 - 16 - 19 - 5));
    admitted(parts.clone());
    parts.method = Method::HEAD;
    assert_eq!(refused(parts, &Policy::new()), Cause::HeadTooLarge);
}

#[test]
fn underscores_are_legal_unless_the_policy_says_otherwise() {
    let parts = with(get("/"), &[("x_y", "1")]);
    assert_eq!(values(&admitted(parts.clone()), "x_y"), ["1"]);
    let policy = Policy::new().reject_underscores(true);
    assert_eq!(refused(parts, &policy), Cause::Malformed);
    try_with(get("/"), &peer(), &policy).unwrap();
}

#[test]
fn http_0_9_is_refused() {
    malformed(with(bare(Version::HTTP_09, "/"), &[("host", "example.com")]));
}

#[test]
fn everything_else_comes_out_as_it_went_in() {
    let mut parts = with(
        get("/a%2Db?x=%zz"),
        &[("x-dup", "1"), ("x-bin-bin", "AAE="), ("x-dup", "2")],
    );
    set(&mut parts, "x-obs", b"caf\xe9 \xff");
    set(&mut parts, "x-empty", "");
    let parts = admitted(parts);
    assert_eq!(values(&parts, "x-dup"), ["1", "2"]);
    assert_eq!(values(&parts, "x-bin-bin"), ["AAE="]);
    assert_eq!(parts.headers["x-obs"].as_bytes(), b"caf\xe9 \xff");
    assert_eq!(parts.headers["x-empty"], "");
    assert_eq!(parts.uri, "http://example.com/a%2Db?x=%zz");
}

#[test]
fn ensure_admits_once() {
    let mut parts = with(get("/"), &[("x-forwarded-for", "203.0.113.5")]);
    parts.extensions.insert(peer());
    let policy = Policy::new().trusted_peers(["192.0.2.7".parse().unwrap()]);
    parts.extensions.insert(Arc::new(policy));
    assert!(!is_admitted(&parts.extensions));
    ensure(&mut parts).unwrap();
    assert!(is_admitted(&parts.extensions));
    ensure(&mut parts).unwrap();
    assert_eq!(values(&parts, "x-forwarded-for"), ["203.0.113.5, 192.0.2.7"]);
}

#[test]
fn ensure_knows_no_peer_and_trusts_nobody_by_default() {
    let mut parts = with(get("/"), &[("x-forwarded-for", "203.0.113.5")]);
    ensure(&mut parts).unwrap();
    assert!(!parts.headers.contains_key("x-forwarded-for"));
    assert_eq!(
        values(&parts, "forwarded"),
        ["for=unknown;host=example.com;proto=http"]
    );
    let mut parts = bare(Version::HTTP_11, "/");
    assert_eq!(ensure(&mut parts).unwrap_err().cause(), Cause::Malformed);
}

#[test]
fn debug_shows_no_path_and_no_field() {
    let parts = admitted(with(
        get("/secret-path"),
        &[("connection", "upgrade"), ("upgrade", "secret-protocol")],
    ));
    let shown = format!(
        "{:?} {:?}",
        canonical(&parts),
        parts.extensions.get::<super::super::UpgradeRequest>().unwrap()
    );
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("example.com"), "{shown}");
}
