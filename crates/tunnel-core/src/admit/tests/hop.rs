use http::Response;

use super::super::{ExtendedConnect, UpgradeRequest, clean_response, clean_trailers};
use super::*;

const HOP: &[(&str, &str)] = &[
    ("connection", "close"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("proxy-authenticate", "Basic"),
    ("proxy-authorization", "Basic eA=="),
    ("proxy-authentication-info", "x"),
    ("http2-settings", "AAMAAABkAAQAAP__"),
    ("te", "gzip"),
    ("upgrade", "websocket"),
];

#[test]
fn fields_for_one_hop_go_and_others_stay() {
    for parts in [get("/"), h2("http://example.com/")] {
        let parts = admitted(with(
            with(parts, HOP),
            &[("trailer", "x-sum"), ("x", "1"), ("x", "2")],
        ));
        for (name, _) in HOP {
            assert!(!parts.headers.contains_key(*name), "{name}");
        }
        assert_eq!(values(&parts, "trailer"), ["x-sum"]);
        assert_eq!(values(&parts, "x"), ["1", "2"]);
    }
}

#[test]
fn nominated_fields_go() {
    for connection in [
        &[("connection", "X-Hop")][..],
        &[("connection", "close, x-hop")],
        &[("connection", ",, \tx-hop ,,")],
        &[("connection", "keep-alive"), ("connection", "x-hop")],
        &[("connection", "not a token, x-hop")],
    ] {
        let fields = [("x-hop", "1"), ("x-hop", "2"), ("x-end", "3")];
        let parts = admitted(with(with(get("/"), connection), &fields));
        assert!(!parts.headers.contains_key("x-hop"), "{connection:?}");
        assert!(!parts.headers.contains_key("connection"), "{connection:?}");
        assert_eq!(values(&parts, "x-end"), ["3"]);
    }
}

#[test]
fn a_client_cannot_nominate_what_it_must_not_hide() {
    for name in [
        "host",
        "content-length",
        "content-type",
        "authorization",
        "cookie",
        "expect",
        "trailer",
        "traceparent",
        "tracestate",
        "grpc-timeout",
        "sec-websocket-key",
        "x-tunnel-error",
        "user-agent",
        "x-request-id",
        "if-match",
        "range",
    ] {
        let value = match name {
            "host" => None,
            "content-length" => Some("5"),
            "expect" => Some("100-continue"),
            _ => Some("v"),
        };
        let mut parts = with(get("/"), &[("connection", &name.to_ascii_uppercase())]);
        if let Some(value) = value {
            set(&mut parts, name, value);
        }
        let parts = admitted(parts);
        assert_eq!(parts.headers.get_all(name).iter().count(), 1, "{name}");
    }
}

#[test]
fn a_client_cannot_hide_what_a_trusted_proxy_says() {
    let said = [
        (
            "connection",
            "X-Forwarded-For, x-forwarded-proto, x-forwarded-port, forwarded",
        ),
        ("x-forwarded-for", "203.0.113.5"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=203.0.113.5"),
    ];
    let policy = Policy::new().trusted_peers(["192.0.2.7".parse().unwrap()]);
    let parts = try_with(with(get("/"), &said), &peer(), &policy).unwrap();
    assert_eq!(values(&parts, "x-forwarded-for"), ["203.0.113.5, 192.0.2.7"]);
    assert_eq!(values(&parts, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&parts, "x-forwarded-port"), ["443"]);
    assert!(values(&parts, "forwarded")[0].starts_with("for=203.0.113.5, "));
}

#[test]
fn of_te_only_trailers_stays() {
    for (fields, expected) in [
        (&["trailers"][..], &["trailers"][..]),
        (&["Trailers"], &["trailers"]),
        (&["gzip;q=0.5, trailers"], &["trailers"]),
        (&["gzip", "trailers"], &["trailers"]),
        (&["trailers", "trailers"], &["trailers"]),
        (&["gzip"], &[]),
        (&["xtrailers"], &[]),
        (&[""], &[]),
    ] {
        for connection in ["te", "close"] {
            let mut parts = with(get("/"), &[("connection", connection)]);
            for value in fields {
                set(&mut parts, "te", value);
            }
            assert_eq!(values(&admitted(parts), "te"), expected, "{fields:?}");
        }
    }
}

#[test]
fn an_upgrade_is_remembered_and_stripped() {
    let parts = admitted(with(
        get("/"),
        &[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
        ],
    ));
    let asked = parts.extensions.get::<UpgradeRequest>().unwrap();
    assert_eq!(asked.protocol, "websocket");
    assert!(!parts.headers.contains_key("upgrade"));
    assert_eq!(values(&parts, "sec-websocket-key"), ["k"]);
}

/// One byte more than the tunnel carries as the name of a protocol.
const TOO_LONG: &str = match std::str::from_utf8(&[b'a'; 257]) {
    Ok(name) => name,
    Err(_) => "",
};

#[test]
fn what_asks_for_no_upgrade_that_we_could_make() {
    let upgrade = ("connection", "upgrade");
    for fields in [
        &[("upgrade", "websocket")][..],
        &[("upgrade", "websocket"), ("connection", "close")],
        &[upgrade],
        &[upgrade, ("upgrade", "")],
        &[upgrade, ("upgrade", "web socket")],
        &[upgrade, ("upgrade", "websocket;v=1")],
        &[upgrade, ("upgrade", TOO_LONG)],
        &[upgrade, ("upgrade", "h2c")],
        &[upgrade, ("upgrade", "H2C")],
        &[upgrade, ("upgrade", "websocket, h2c")],
        &[upgrade, ("upgrade", "websocket"), ("upgrade", "h2c")],
    ] {
        let parts = admitted(with(get("/"), fields));
        assert!(parts.extensions.get::<UpgradeRequest>().is_none(), "{fields:?}");
        assert!(!parts.headers.contains_key("upgrade"), "{fields:?}");
    }
    let asks = [upgrade, ("upgrade", "websocket")];
    for parts in [bare(Version::HTTP_10, "/"), h2("http://example.com/")] {
        let parts = admitted(with(parts, &asks));
        assert!(parts.extensions.get::<UpgradeRequest>().is_none());
    }
}

#[test]
fn methods() {
    for name in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X!",
    ] {
        admitted(method(get("/"), name.parse().unwrap()));
    }
    let refusal = |parts| refused(parts, &Policy::new());
    assert_eq!(refusal(method(get("/"), Method::TRACE)), Cause::MethodNotServed);
    let connect = || method(get("example.com:443"), Method::CONNECT);
    assert_eq!(refusal(connect()), Cause::MethodNotServed);
    assert_eq!(
        refusal(method(h2("http://example.com/"), Method::CONNECT)),
        Cause::MethodNotServed
    );

    let mut parts = method(h2("http://example.com/chat"), Method::CONNECT);
    parts.extensions.insert(websocket());
    let parts = admitted(parts);
    assert_eq!(canonical(&parts).path(), "/chat");
    assert!(parts.extensions.get::<UpgradeRequest>().unwrap().is_websocket());
    // HTTP/1.1 has no `:protocol`, whoever says so.
    let mut parts = connect();
    parts.extensions.insert(websocket());
    assert_eq!(refusal(parts), Cause::MethodNotServed);
}

fn websocket() -> ExtendedConnect {
    ExtendedConnect {
        protocol: HeaderValue::from_static("websocket"),
    }
}

fn response(fields: &[(&str, &str)]) -> http::response::Parts {
    let mut builder = Response::builder();
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    clean_response(&mut parts);
    let once = parts.headers.clone();
    clean_response(&mut parts);
    assert_eq!(parts.headers, once, "a second time changes nothing");
    parts
}

#[test]
fn a_response_loses_what_was_for_one_hop() {
    let parts = response(&[
        ("connection", "x-hop, set-cookie"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("set-cookie", "c=3"),
        ("trailer", "x-sum"),
        ("content-length", "3"),
    ]);
    assert_eq!(names(&parts.headers), ["content-length", "set-cookie", "trailer"]);
    assert!(
        parts
            .headers
            .get_all("set-cookie")
            .iter()
            .eq(["a=1", "b=2", "c=3"])
    );
}

#[test]
fn a_response_keeps_a_length_only_if_it_says_something() {
    let cl = "content-length";
    for (fields, expected) in [
        (&[(cl, "3")][..], &["3"][..]),
        (&[(cl, "3"), (cl, "3")], &["3"]),
        (&[(cl, "3"), (cl, "4")], &[]),
        (&[(cl, "x")], &[]),
        (&[(cl, "3"), ("transfer-encoding", "chunked")], &[]),
    ] {
        let parts = response(fields);
        assert!(
            parts.headers.get_all(cl).iter().eq(expected.iter().copied()),
            "{fields:?}"
        );
    }
}

#[test]
fn a_response_without_content_has_no_length() {
    for (status, keeps) in [(100, false), (204, false), (200, true), (205, true), (304, true)] {
        let response = Response::builder().status(status).header("content-length", "0");
        let (mut parts, ()) = response.body(()).unwrap().into_parts();
        clean_response(&mut parts);
        assert_eq!(parts.headers.contains_key("content-length"), keeps, "{status}");
    }
}

#[test]
fn trailers_carry_no_framing_routing_or_credentials() {
    let mut trailers = http::HeaderMap::new();
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "forwarded",
        "grpc-status",
        "x-sum",
    ] {
        trailers.insert(name, HeaderValue::from_static("0"));
    }
    clean_trailers(&mut trailers);
    assert_eq!(names(&trailers), ["grpc-status", "x-sum"]);
}

fn names(headers: &http::HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}
