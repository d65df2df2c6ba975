//! What stands on the wire: trailers-only, headers, and messages that nobody on the way looks into.

use axum::{Router, body::Body, extract::Request};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tonic::Code;
use tunnel_layers::route::Rule;
use tunnel_tests::{
    origin::{Origin, app},
    tunnel::{GROUP, Tunnel, group},
};
use tunnel_transport::Upstream;

use crate::{
    frames::{Frame, call, framed, prefixed},
    pb::UnaryRequest,
    requests::{ending, unary},
    world::{PLACES, Place, TUNNELS, World, within},
};

const UNARY: &str = "/tunnel.interop.v1.TestService/UnaryCall";
const TRAILERS_ONLY: [Frame; 1] = [Frame::Headers { is_end: true }];

#[tokio::test]
async fn trailers_only_stays_trailers_only() {
    for place in PLACES {
        within(&format!("{place:?}"), async {
            let world = World::new(place).await;
            let request = UnaryRequest {
                status: Some(ending(Code::DataLoss, "gone:50%")),
                ..unary(1, 1)
            };
            let answer = call(world.addr, UNARY, &[], framed(&request)).await;
            assert_eq!(answer.frames, TRAILERS_ONLY);
            assert_eq!(answer.response.headers()["grpc-status"], "15");
            assert_eq!(answer.response.headers()["grpc-message"], "gone:50%25");
            assert_eq!(answer.trailers, None);
        })
        .await;
    }
}

#[tokio::test]
async fn a_message_has_a_head_and_trailers() {
    for place in PLACES {
        within(&format!("{place:?}"), async {
            let world = World::new(place).await;
            let answer = call(world.addr, UNARY, &[], framed(&unary(10, 10))).await;
            let [head, data, end] = answer.frames[..] else {
                panic!("{:?}", answer.frames)
            };
            assert_eq!(head, Frame::Headers { is_end: false });
            assert_eq!(data, Frame::Data { is_end: false });
            assert_eq!(end, Frame::Headers { is_end: true });
            assert!(!answer.response.headers().contains_key("grpc-status"));
            assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
        })
        .await;
    }
}

#[tokio::test]
async fn our_own_errors_are_trailers_only() {
    let nowhere = Rule::group("other", group(GROUP)).path_prefix("/other");
    let nobody = Rule::group("all", group(GROUP));
    for (rule, status, message, cause) in [
        (nowhere, "5", "no matching rule", "no-route"),
        (nobody, "14", "no healthy agent", "no-agent"),
    ] {
        within(message, async {
            let tunnel = Tunnel::builder().rules([rule]).start().await;
            let answer = call(tunnel.addr, UNARY, &[], framed(&unary(1, 1))).await;
            assert_eq!(answer.frames, TRAILERS_ONLY);
            assert_eq!(answer.response.status(), 200);
            let headers = answer.response.headers();
            assert_eq!(headers["content-type"], "application/grpc");
            assert_eq!(headers["grpc-status"], status);
            assert_eq!(headers["grpc-message"], message);
            assert_eq!(headers["x-tunnel-error"], cause);
        })
        .await;
    }
}

/// A server of one method that answers every message with itself, and tells of the heads that it saw.
fn echo() -> (Router, mpsc::Receiver<HeaderMap>) {
    let (sender, receiver) = mpsc::channel(8);
    let app = app(move |request: Request| {
        let sender = sender.clone();
        async move {
            let (parts, body) = request.into_parts();
            sender.send(parts.headers).await.expect("the test looks at them");
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
            Response::builder()
                .header("content-type", "application/grpc+own")
                .header("grpc-encoding", "gzip")
                .header("grpc-accept-encoding", "identity,gzip")
                .body(Body::new(body))
                .expect("a response")
        }
    });
    (app, receiver)
}

/// That server at a place.
async fn echoing(place: Place) -> (Tunnel, mpsc::Receiver<HeaderMap>, Option<Origin>) {
    let (app, seen) = echo();
    if place == Place::Agent {
        return (Tunnel::serve(app).await, seen, None);
    }
    let origin = Origin::h2c(app).await;
    let upstream = Upstream::h2c(origin.uri()).expect("an address");
    (Tunnel::serve(upstream).await, seen, Some(origin))
}

#[tokio::test]
async fn messages_pass_as_they_are() {
    const MIB: usize = 1 << 20;
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            let (tunnel, mut seen, _origin) = echoing(place).await;
            for len in [0, 1, 4 * MIB - 1, 4 * MIB, 16 * MIB] {
                for is_compressed in [false, true] {
                    // No compressor has made these bytes, and none would give them back.
                    let message: Vec<u8> = (0..len).map(|index| (index * 7 + index / 251) as u8).collect();
                    let body = prefixed(is_compressed, &message);
                    let answer = call(tunnel.addr, UNARY, &[("grpc-encoding", "gzip")], body.clone()).await;
                    assert!(answer.body == body, "{len} bytes");
                    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
                    assert_eq!(answer.response.headers()["grpc-encoding"], "gzip");
                    assert_eq!(seen.recv().await.expect("it was seen")["grpc-encoding"], "gzip");
                }
            }
            tunnel.settled().await;
        })
        .await;
    }
}

#[tokio::test]
async fn metadata_pass_as_they_are() {
    const FIELDS: [(&str, &str); 9] = [
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", "identity, deflate, gzip"),
        ("user-agent", "grpc-own/1.0"),
        ("x-text", "one"),
        ("x-text", "two"),
        ("x-text", "one"),
        ("x-own-bin", "q6ur"),
        ("x-own-bin", "AP8s,AQI"),
        ("authorization", "Bearer something"),
    ];
    for place in TUNNELS {
        within(&format!("{place:?}"), async {
            let (tunnel, mut seen, _origin) = echoing(place).await;
            let answer = call(tunnel.addr, UNARY, &FIELDS, prefixed(false, b"")).await;
            let seen = seen.recv().await.expect("it was seen");
            for (name, _) in FIELDS {
                let sent = FIELDS.iter().filter(|field| field.0 == name).map(|field| field.1);
                assert!(seen.get_all(name).iter().eq(sent), "{name}: {seen:?}");
            }
            assert_eq!(seen["te"], "trailers");
            assert_eq!(seen["content-type"], "application/grpc");
            let headers = answer.response.headers();
            assert_eq!(headers["content-type"], "application/grpc+own");
            assert_eq!(headers["grpc-accept-encoding"], "identity,gzip");
            assert_eq!(answer.body, Bytes::from_static(&[0; 5]));
        })
        .await;
    }
}
