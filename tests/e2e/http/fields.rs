//! Header fields: their order, their bytes, their number.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tunnel_tests::{
    body,
    client::Version,
    origin::{app, recorder},
};

use super::world::{Far, Way, World, get};

on_every_way! { requests, responses, many }

/// Each value that may be in a field: every byte but controls and DEL, and the tab.
fn every_byte() -> HeaderValue {
    let bytes: Vec<u8> = (0x21..=0xff)
        .filter(|byte| *byte != 0x7f)
        .chain([b'\t', b' ', b'x'])
        .collect();
    HeaderValue::from_bytes(&bytes).unwrap()
}

fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    for value in ["c=3", "a=1; Path=/", "b=2, c", "c=3"] {
        fields.append("x-list", value.parse().unwrap());
        fields.append("set-cookie", value.parse().unwrap());
    }
    fields.append("x-bytes", every_byte());
    fields.append(
        "x-bytes",
        HeaderValue::from_bytes(b"caf\xe9 \xe2\x82\xac").unwrap(),
    );
    fields.append("x-empty", HeaderValue::from_static(""));
    fields.append("x-long", "v".repeat(8_000).parse().unwrap());
    fields.append("x_underscore", HeaderValue::from_static("1"));
    fields.append("date", HeaderValue::from_static("Tue, 15 Nov 1994 08:12:31 GMT"));
    fields.append("server", HeaderValue::from_static("app/1"));
    fields.append("via", HeaderValue::from_static("1.1 other"));
    fields
}

/// Asserts that each of `expected` is in `found`, with all of its values in order and no more.
fn assert_has(found: &HeaderMap, expected: &HeaderMap) {
    for name in expected.keys() {
        let values = |map: &HeaderMap| map.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(found), values(expected), "{name}");
    }
}

async fn requests(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut request = get("/");
    request.headers_mut().extend(fields());
    assert_eq!(world.send(request).await.status(), 200);
    assert_has(&seen.headers().await, &fields());
    world.settled().await;
}

async fn responses(way: Way) {
    let app = app(|_| async {
        let mut response = Response::new(Body::from("hello"));
        response.headers_mut().extend(fields());
        response
    });
    let mut world = World::new(way, app).await;
    let response = world.client.get("/").await;
    assert_has(response.headers(), &fields());
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(body::whole(response).await, "hello");
    world.settled().await;
}

/// As many as our limit lets through, with those that we add ourselves.
async fn many(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut request = get("/");
    for index in 0..90 {
        let name: HeaderName = format!("x-{index}").parse().unwrap();
        request.headers_mut().insert(name, HeaderValue::from(index));
    }
    let sent = request.headers().clone();
    assert_eq!(world.send(request).await.status(), 200);
    assert_has(&seen.headers().await, &sent);
    world.settled().await;
}

/// A response's head may be as large as a request's; one that is far larger is a failure of the upstream.
async fn large_response_heads(far: Far) {
    let app = app(|request| async move {
        let bytes: usize = request.uri().path()[1..].parse().unwrap();
        Response::builder()
            .header("x-large", "v".repeat(bytes))
            .body(Body::from("hello"))
            .unwrap()
    });
    let world = World::new(
        Way {
            client: Version::Http1,
            far,
        },
        app,
    )
    .await;
    for (bytes, status) in [(60_000, 200), (70_000, 502), (300_000, 502), (14_000, 200)] {
        let mut raw = world.raw().await;
        let response = raw
            .call(format!("GET /{bytes} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        assert_eq!(response.status, status, "{bytes}: {:?}", response.body);
        assert_eq!(response.headers.contains_key("x-tunnel-error"), status == 502);
    }
    world.settled().await;
}

on_every_far_end! { large_response_heads }
