//! Trailers, both ways.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tunnel_core::BoxError;
use tunnel_tests::{
    client::Version,
    origin::{app, recorder},
};

use super::world::{Far, Way, World, get, post};

on_every_way! { both_ways, without_a_body, not_asked_for, barred }

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", HeaderValue::from_static("1"));
    trailers.append("x-sum", HeaderValue::from_static("2"));
    trailers.append("x-bytes", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    trailers
}

/// Of unknown length, because HTTP/1.1 has trailers only then.
fn with_trailers(content: &'static str, trailers: HeaderMap) -> Body {
    let data = (!content.is_empty()).then(|| Frame::data(Bytes::from(content)));
    let frames = data.into_iter().chain([Frame::trailers(trailers)]);
    Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, BoxError>))))
}

/// A request with `content` and trailers, whose sender takes trailers.
fn request(content: &'static str, trailers: HeaderMap) -> Request<Body> {
    let names: Vec<_> = trailers.keys().map(ToString::to_string).collect();
    let mut request = post(with_trailers(content, trailers));
    request
        .headers_mut()
        .insert("trailer", names.join(", ").parse().unwrap());
    request
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    request
}

/// Answers with the trailers of the request.
fn echo() -> axum::Router {
    app(|request| async {
        let asked = request.headers().get("te").cloned();
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let names: Vec<_> = trailers.keys().map(ToString::to_string).collect();
        let mut response = Response::new(with_trailers("content", trailers));
        response
            .headers_mut()
            .insert("trailer", names.join(", ").parse().unwrap());
        response
            .headers_mut()
            .insert("x-asked", asked.unwrap_or(HeaderValue::from_static("no")));
        response
    })
}

async fn both_ways(way: Way) {
    let mut world = World::new(way, echo()).await;
    for content in ["hello", ""] {
        let response = world.send(request(content, trailers())).await;
        assert_eq!(response.headers()["x-asked"], "trailers");
        assert_eq!(response.headers()["trailer"], "x-sum, x-bytes");
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&trailers()), "{content:?}");
        assert_eq!(body.to_bytes(), "content");
    }
    world.settled().await;
}

/// A response of trailers alone, under a head that does not end.
async fn without_a_body(way: Way) {
    let app = app(|_| async {
        let mut response = Response::new(with_trailers("", trailers()));
        response
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("x-sum, x-bytes"));
        response
    });
    let mut world = World::new(way, app).await;
    let mut request = get("/");
    request
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    let body = world.send(request).await.into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers()));
    assert_eq!(body.to_bytes(), "");
    world.settled().await;
}

/// HTTP/1.1 sends trailers only to who asks; the body is complete all the same.
async fn not_asked_for(way: Way) {
    let app = app(|_| async {
        let mut response = Response::new(with_trailers("content", trailers()));
        response
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("x-sum, x-bytes"));
        response
    });
    let mut world = World::new(way, app).await;
    let body = world.send(get("/")).await.into_body().collect().await.unwrap();
    // An upstream of HTTP/1.1 was not asked either.
    let expected = way.client == Version::Http2 && way.far != Far::Http1;
    assert_eq!(body.trailers().is_some(), expected);
    assert_eq!(body.to_bytes(), "content");
    world.settled().await;
}

/// What would be believed in a head does not come as a trailer.
async fn barred(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut sent = trailers();
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "proxy-authorization"] {
        sent.insert(name, HeaderValue::from_static("203.0.113.9"));
    }
    assert_eq!(world.send(request("hello", sent)).await.status(), 200);
    let seen = seen.next().await;
    assert_eq!(seen.body().trailers(), Some(&trailers()));
    world.settled().await;
}

/// Trailers that are too large break their own transfer, and nothing else.
#[tokio::test]
async fn too_large() {
    tunnel_tests::wait::within_limit(async {
        let app = app(|request| async move {
            let bytes: usize = request.uri().path()[1..].parse().unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "v".repeat(bytes).parse().unwrap());
            Response::new(with_trailers("content", trailers))
        });
        let mut world = World::new(
            Way {
                client: Version::Http2,
                far: Far::Process,
            },
            app,
        )
        .await;
        for _ in 0..2 {
            let response = world.send(get("/300000")).await;
            // The failure may overtake the head.
            let status = response.status();
            let body = response.into_body().collect().await;
            assert!(body.is_err() || status == 502, "{status} {body:?}");
            let body = world
                .send(get("/10000"))
                .await
                .into_body()
                .collect()
                .await
                .unwrap();
            assert_eq!(body.trailers().unwrap()["x-sum"].len(), 10_000);
        }
        world.settled().await;
    })
    .await;
}

/// A client of HTTP/1.1 gets chunks and trailers as RFC 9112 writes them, and the connection goes on.
#[tokio::test]
async fn on_the_wire() {
    tunnel_tests::wait::within_limit(async {
        let world = World::new(
            Way {
                client: Version::Http1,
                far: Far::Process,
            },
            echo(),
        )
        .await;
        let mut raw = world.raw().await;
        for _ in 0..2 {
            let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntrailer: x-sum\r\n\
                           transfer-encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
            let response = raw.call(request).await;
            assert_eq!(
                (response.status.as_u16(), &response.body[..]),
                (200, &b"content"[..])
            );
            assert_eq!(response.trailers["x-sum"], "7");
        }
        drop(raw);
        world.settled().await;
    })
    .await;
}
