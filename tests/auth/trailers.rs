//! The principal's name, forged behind the body.

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tunnel_core::{
    BoxError, Principal,
    auth::{Authenticator as _, auth_fn},
};
use tunnel_layers::auth::AuthLayer;
use tunnel_tests::{
    client::{Client, Version},
    wait::within_limit,
};

use crate::world::{CALLER, World, everything};

/// Answers with the names of the trailers that came, and with who calls.
async fn app(request: Request<Body>) -> String {
    let (head, body) = request.into_parts();
    let collected = body.collect().await.expect("a whole body");
    let names = collected.trailers().map(|trailers| {
        let names: Vec<_> = trailers.keys().map(header::HeaderName::as_str).collect();
        names.join(" ")
    });
    let caller = head.headers[CALLER].to_str().expect("text").to_owned();
    format!("{caller}: {}", names.unwrap_or_else(|| "none".to_owned()))
}

fn body(trailers: &[&'static str]) -> Body {
    let root = |name: &&'static str| {
        (
            header::HeaderName::from_static(name),
            HeaderValue::from_static("root"),
        )
    };
    let fields: HeaderMap = trailers.iter().map(root).collect();
    let frames = [Frame::data(Bytes::from_static(b"data")), Frame::trailers(fields)];
    Body::new(StreamBody::new(futures_util::stream::iter(
        frames.map(Ok::<_, BoxError>),
    )))
}

#[tokio::test]
async fn a_trailer_does_not_say_who_calls() {
    within_limit(async {
        let alice = auth_fn(async |_| Ok(Principal::new("alice", "test"))).boxed();
        let layer = AuthLayer::new(alice).principal_header(CALLER.parse().expect("a name"));
        let layer = layer.expect("a name of our own");
        let world = World::guarded(layer, everything(), Router::new().fallback(app)).await;
        for version in [Version::Http1, Version::Http2] {
            for (names, expected) in [
                (&["x-caller", "x_caller", "x-checksum"][..], "alice: x-checksum"),
                (&["x-caller"], "alice: none"),
            ] {
                let request = Request::post("/path").header(header::TRAILER, names.join(", "));
                let request = request.body(body(names)).expect("a request");
                let mut client = Client::connect(version, world.addr).await;
                let answer = client.send(request).await.expect("a response");
                let text = answer.into_body().collect().await.expect("a body").to_bytes();
                assert_eq!(text, expected, "{version:?}");
            }
        }
    })
    .await;
}
