use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::*;

#[test]
fn one_way_to_write_a_path() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/pkg.Service/Method", "/pkg.Service/Method"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b/...", "/a/..b/..."),
        ("/a/", "/a/"),
        ("//", "/"),
        ("//a", "/a"),
        ("/a//b///c//", "/a/b/c/"),
        ("/%61%2D%7e", "/a-~"),
        ("/%40x/%3a", "/@x/:"),
        ("/%c3%a9", "/%C3%A9"),
        ("/\u{e9}", "/%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/%3f%23%25", "/%3F%23%25"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/{id}", "/%7Bid%7D"),
        ("/a;v=1/b;x", "/a/b"),
        ("/;x/admin", "/admin"),
        ("/a%3bb", "/a%3Bb"),
        ("/a/;x", "/a/"),
    ] {
        let parts = admitted(get(&format!("{path}?a=%zz&b=../..//;%2f")));
        assert_eq!(canonical(&parts).path(), expected, "{path}");
        let sent = parts.uri.path_and_query().unwrap().as_str();
        assert_eq!(
            sent,
            format!("{path}?a=%zz&b=../..//;%2f"),
            "bytes must not change"
        );
        assert_eq!(
            super::super::canonical_path(path, &Policy::new()).unwrap(),
            expected
        );
        assert_eq!(
            super::super::canonical_path(expected, &Policy::new()).unwrap(),
            expected,
            "the form for matching is its own"
        );
    }
}

#[test]
fn a_path_that_servers_read_in_two_ways_is_refused_unless_allowed() {
    let strict = Policy::new().allow_encoded_slashes(false);
    let dots = strict.clone().allow_dot_segments(true);
    let slashes = Policy::new();
    let both = dots.clone().allow_encoded_slashes(true);
    // With an empty column, that policy refuses.
    for (path, with_dots, with_slashes, with_both) in [
        ("/a/../b", "/b", "", "/b"),
        ("/a/./b", "/a/b", "", "/a/b"),
        ("/a/.", "/a/", "", "/a/"),
        ("/a/..", "/", "", "/"),
        ("/a/%2e%2E/b", "/b", "", "/b"),
        ("/a/.%2e/b/%2e", "/b/", "", "/b/"),
        ("/a/..;x=1/b", "/b", "", "/b"),
        ("/a//../b", "/b", "", "/b"),
        ("/a%2fb", "", "/a%2Fb", "/a%2Fb"),
        ("/a%5cb", "", "/a%5Cb", "/a%5Cb"),
        ("/a\\b", "", "/a%5Cb", "/a%5Cb"),
        ("/a;x=%2f/b", "", "/a/b", "/a/b"),
        ("/a/x%2f..%2fb", "", "", "/a/x%2F..%2Fb"),
        ("/a/..%5cb", "", "", "/a/..%5Cb"),
        ("/a/..\\b", "", "", "/a/..%5Cb"),
        ("/a/..%3bx/b", "/a/..%3Bx/b", "", "/a/..%3Bx/b"),
    ] {
        for (policy, expected) in [
            (&strict, ""),
            (&dots, with_dots),
            (&slashes, with_slashes),
            (&both, with_both),
        ] {
            match try_with(get(path), &peer(), policy) {
                Ok(parts) => {
                    assert_eq!(canonical(&parts).path(), expected, "{path} {policy:?}");
                    assert_eq!(parts.uri.path(), path);
                }
                Err(error) => {
                    assert_eq!(
                        (error.cause(), expected),
                        (Cause::Malformed, ""),
                        "{path} {policy:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_no_policy_allows() {
    let lenient = Policy::new().allow_dot_segments(true).allow_encoded_slashes(true);
    for path in [
        "/..",
        "/../a",
        "/a/../../b",
        "/a/%2e%2e/%2e%2e/b",
        "/%",
        "/a%4",
        "/a%zz",
        "/a%4/1",
        "/%+1",
        "/%00",
        "/a%0d%0ab",
        "/%1f",
        "/%7f",
        "/a;%zz",
        "/a;%00/b",
    ] {
        malformed(get(path));
        assert_eq!(refused(get(path), &lenient), Cause::Malformed, "{path}");
    }
}

#[test]
fn the_path_starts_with_a_slash() {
    // What an HTTP/2 codec makes of a `:path` without one.
    let mut parts = h2("http://example.com/");
    let mut uri = parts.uri.into_parts();
    uri.path_and_query = Some(PathAndQuery::from_static("?a=b"));
    parts.uri = Uri::from_parts(uri).unwrap();
    malformed(parts);

    // In the absolute form the path may be left out, and the slash is supplied.
    let parts = admitted(get("http://example.com?a=b"));
    assert_eq!(parts.uri.path_and_query().unwrap(), "/?a=b");
    assert_eq!(canonical(&parts).path(), "/");

    // The authority form belongs to CONNECT.
    malformed(get("example.com"));
    malformed(get("example.com:80"));
    assert!(super::super::canonical_path("a", &Policy::new()).is_err());
}

#[test]
fn the_asterisk_is_for_options() {
    malformed(get("*"));
    let parts = admitted(method(get("*"), Method::OPTIONS));
    assert_eq!(parts.uri.path(), "*");
    assert_eq!(parts.uri.authority().unwrap(), "example.com");
    assert_eq!(canonical(&parts).path(), "*");

    let parts = admitted(method(bare(Version::HTTP_10, "*"), Method::OPTIONS));
    assert_eq!(parts.uri, "*");

    let mut parts = method(h2("/"), Method::OPTIONS);
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(Authority::from_static("example.com"));
    uri.path_and_query = Some(PathAndQuery::from_static("*"));
    parts.uri = Uri::from_parts(uri).unwrap();
    assert_eq!(canonical(&admitted(parts)).path(), "*");
}

#[test]
fn a_path_keeps_bytes_beyond_ascii() {
    let parts = admitted(get("/\u{e9}\u{1f980}?\u{e9}=%ff"));
    assert_eq!(parts.uri.path(), "/\u{e9}\u{1f980}");
    assert_eq!(parts.uri.query(), Some("\u{e9}=%ff"));
}
