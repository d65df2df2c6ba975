//! Requests that hyper lets through and we do not, and heads that are too large: answered in full, by us.

use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use tunnel_tests::{body, client::Version, origin::recorder};

use super::world::{Far, Way, World, get};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Asserts that this is an answer of the gateway itself.
pub(super) fn assert_problem(status: StatusCode, headers: &HeaderMap, body: &[u8], expected: (u16, &str)) {
    let text = String::from_utf8_lossy(body);
    assert_eq!(status.as_u16(), expected.0, "{text}");
    assert_eq!(headers["x-tunnel-error"], expected.1, "{text}");
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["content-length"], body.len().to_string());
    assert_eq!(headers["cache-control"], "no-store");
    let trace_id = headers["x-trace-id"].to_str().unwrap();
    let (status, cause) = (
        format!("\"status\":{}", expected.0),
        format!("\"cause\":\"{}\"", expected.1),
    );
    for part in [status.as_str(), &cause, trace_id] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn http1() {
    let (app, mut seen) = recorder("");
    let world = World::new(
        Way {
            client: Version::Http1,
            far: Far::Process,
        },
        app,
    )
    .await;
    let long = "a".repeat(9_000);
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost:\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: user@a\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: a:99999\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", (400, "malformed")),
        ("GET / HTTP/1.1\r\nhost: \u{e9}\r\n\r\n", (400, "malformed")),
        ("GET http://a/ HTTP/1.1\r\n\r\n", (400, "malformed")),
        ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", (400, "malformed")),
        ("GET /a/../b HTTP/1.1\r\nhost: a\r\n\r\n", (400, "malformed")),
        ("GET /a/%2e%2e/b HTTP/1.1\r\nhost: a\r\n\r\n", (400, "malformed")),
        ("GET /%zz HTTP/1.1\r\nhost: a\r\n\r\n", (400, "malformed")),
        ("GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", (400, "malformed")),
        (
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 200-maybe\r\ncontent-length: 0\r\n\r\n",
            (400, "malformed"),
        ),
        (
            &format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n{chunked}"),
            (400, "malformed"),
        ),
        (
            &format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n{chunked}"),
            (400, "malformed"),
        ),
        (
            &format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
            ),
            (400, "malformed"),
        ),
        ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n", (501, "method-not-served")),
        (
            "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
            (501, "method-not-served"),
        ),
        (
            &format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
            (414, "uri-too-long"),
        ),
        (
            &format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {long}{long}{long}{long}\r\n\r\n"),
            (431, "head-too-large"),
        ),
    ];
    for (request, expected) in cases {
        let mut raw = world.raw().await;
        let request = request.replacen("\r\n", &format!("\r\ntraceparent: {TRACEPARENT}\r\n"), 1);
        let response = raw.call(&request).await;
        assert_problem(response.status, &response.headers, &response.body, expected);
        assert_eq!(response.headers["x-trace-id"], TRACE, "{request}");
    }
    // The answer to HEAD has no body, and says the length that it would have.
    let mut raw = world.raw().await;
    raw.send("HEAD /%zz HTTP/1.1\r\nhost: a\r\n\r\nGET /%zz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let (status, headers) = raw.head().await;
    let get = raw.response().await;
    assert_eq!(
        (status, &headers["x-tunnel-error"]),
        (get.status, &get.headers["x-tunnel-error"])
    );
    assert_eq!(headers["content-length"], get.headers["content-length"]);
    seen.assert_none();
    world.settled().await;
}

/// What hyper itself refuses never reaches us, and its answer has no body; the request does not get through either way.
#[tokio::test]
async fn by_the_codec() {
    let (app, mut seen) = recorder("");
    let world = World::new(
        Way {
            client: Version::Http1,
            far: Far::Process,
        },
        app,
    )
    .await;
    let huge = "a".repeat(80_000);
    let fields: String = (0..101).map(|index| format!("x-{index}: 1\r\n")).collect();
    for (request, status) in [
        (
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            None,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            Some(400),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
            Some(400),
        ),
        ("GET / HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n", Some(400)),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", Some(400)),
        (
            &format!("GET / HTTP/1.1\r\nhost: a\r\nx: {huge}\r\n\r\n"),
            Some(431),
        ),
        (&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"), Some(431)),
    ] {
        let mut raw = world.raw().await;
        raw.send(request).await;
        let (found, _) = raw.head().await;
        match status {
            Some(status) => assert_eq!(found, status, "{request}"),
            // hyper takes the length away.
            None => drop(seen.next().await),
        }
    }
    seen.assert_none();
    world.settled().await;
}

#[tokio::test]
async fn http2() {
    let (app, mut seen) = recorder("");
    let mut world = World::new(
        Way {
            client: Version::Http2,
            far: Far::Process,
        },
        app,
    )
    .await;
    let to = |uri: &str, fields: &[(&'static str, &str)]| {
        let mut request = Request::get(uri).body(Body::empty()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    };
    let long = "a".repeat(9_000);
    let mut many = get("http://a/");
    for index in 0..101 {
        many.headers_mut()
            .insert(HeaderName::try_from(format!("x-{index}")).unwrap(), index.into());
    }
    let cases = [
        (to("http://a/", &[("host", "b")]), (400, "malformed")),
        (to("http://a/", &[("host", "a:81")]), (400, "malformed")),
        (
            to("http://a/", &[("host", "a"), ("host", "a")]),
            (400, "malformed"),
        ),
        (to("http://a/", &[("host", "")]), (400, "malformed")),
        (to("http://a/%zz", &[]), (400, "malformed")),
        (to("http://a/a/../b", &[]), (400, "malformed")),
        (to("http://a/", &[("expect", "200-maybe")]), (400, "malformed")),
        (to(&format!("http://a/{long}"), &[]), (414, "uri-too-long")),
        (many, (431, "head-too-large")),
        (
            to("http://a/", &[("x-long", &long.repeat(4))]),
            (431, "head-too-large"),
        ),
    ];
    for (mut request, expected) in cases {
        request
            .headers_mut()
            .insert("traceparent", TRACEPARENT.parse().unwrap());
        let (parts, body) = world.send(request).await.into_parts();
        let body = body::whole(body).await;
        assert_problem(parts.status, &parts.headers, &body, expected);
        assert_eq!(parts.headers["x-trace-id"], TRACE);
    }
    seen.assert_none();
    // `host` beside an `:authority` that says the same is fine, and the connection has lived through all of this.
    let response = world.send(to("http://A:80/", &[("host", "a")])).await;
    assert_eq!(response.status(), 200);
    assert_eq!(seen.headers().await["host"], "a");
    world.settled().await;
}

/// Two messages in one: what looks like a second request stays a body.
#[tokio::test]
async fn nothing_is_smuggled() {
    for far in [Far::Process, Far::Http1, Far::H2c] {
        let (app, mut seen) = recorder("");
        let world = World::new(
            Way {
                client: Version::Http1,
                far,
            },
            app,
        )
        .await;
        let mut raw = world.raw().await;
        let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
        let len = hidden.len();
        let sized = format!("POST /outer HTTP/1.1\r\nhost: a\r\ncontent-length: {len}\r\n\r\n{hidden}");
        assert_eq!(raw.call(sized).await.status, 200);
        let coded = format!(
            "POST /outer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{len:x}\r\n{hidden}\r\n0\r\n\r\n"
        );
        assert_eq!(raw.call(coded).await.status, 200);
        for _ in 0..2 {
            let outer = seen.next().await;
            assert_eq!(outer.uri().path(), "/outer");
            assert_eq!(outer.into_body().to_bytes(), hidden);
        }
        seen.assert_none();
        drop(raw);
        world.settled().await;
    }
}
