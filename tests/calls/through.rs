//! What goes through.

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tunnel_layers::target::ClientExt as _;
use tunnel_tests::{
    body,
    client::{Client, Version},
    tunnel::{address, listener},
    wait::within_limit,
    websocket::{Frame, handshake, open},
};
use tunnel_transport::entry::Entry;

use crate::world::{World, ask, call, request};

#[tokio::test]
async fn another_group_answers_and_is_told_by_the_gateway_who_asks() {
    within_limit(async {
        let world = World::new().await;
        let mut asked = request("/any", Body::from("from below"));
        for (name, forged) in [("x-caller", "admin"), ("x-forwarded-for", "10.9.9.9")] {
            asked.headers_mut().insert(name, forged.parse().expect("a value"));
        }
        let answer = ask(&world.edge, asked).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"from below"[..]));
        assert_eq!(
            answer.headers["saw-x-caller"], "edge",
            "the name of the credentials"
        );
        assert_eq!(
            answer.headers["saw-x-forwarded-for"], "127.0.0.1",
            "the agent's address"
        );
        assert_eq!(answer.headers["saw-host"], "app.internal");
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn bodies_are_larger_than_all_credit_and_flow_both_ways_at_once() {
    within_limit(async {
        let world = World::new().await;
        let len = 3 * 1024 * 1024;
        let answer = world
            .edge
            .client()
            .oneshot(request("/any", body::streamed(len)))
            .await;
        body::assert_pattern(answer.expect("it never fails").into_body(), len).await;

        // A stream that waits for its own echo.
        let (mut feed, fed) = body::fed();
        let answer = world.edge.client().oneshot(request("/any", fed)).await;
        let mut answer = answer.expect("it never fails").into_body();
        for piece in ["one", "two", "three"] {
            feed.send_data(Bytes::from(piece)).await.expect("it is read");
            assert_eq!(body::next(&mut answer).await, piece);
        }
        drop(feed);
        assert!(body::whole(answer).await.is_empty());
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn calls_of_grpc_have_their_trailers() {
    within_limit(async {
        let world = World::new().await;
        let answer = ask(&world.edge, call()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.trailers["grpc-status"], "0");
        assert_eq!(&*answer.body, b"\0\0\0\0\x03any");
    })
    .await;
}

#[tokio::test]
async fn a_listener_beside_the_agent_takes_both_versions_and_websockets() {
    within_limit(async {
        let world = World::new().await;
        let local = listener().await;
        let addr = address(&local);
        let serving = tokio::spawn(Entry::new().serve(local, world.edge.client()).into_future());
        for version in [Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, addr).await;
            let answer = client
                .send(
                    Request::post("/any")
                        .body(Body::from("hello"))
                        .expect("a request"),
                )
                .await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.headers()["saw-x-caller"], "edge");
            assert_eq!(
                answer.into_body().collect().await.expect("a body").to_bytes(),
                "hello"
            );

            for path in ["/ws", "/open/ws"] {
                let (_, mut socket) = open(version, addr, handshake(path)).await.upgraded();
                socket.send(&Frame::text("ping")).await;
                assert_eq!(socket.recv().await, Frame::text("ping"), "{version:?}");
                assert_eq!(socket.close(1000, "").await.code(), Some(1000));
            }
        }
        world.settled().await;
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn both_directions_of_one_session_are_busy_at_once() {
    within_limit(async {
        let world = World::new().await;
        let mut outside = Client::connect(Version::Http2, world.tunnel.addr).await;
        let len = 600 * 1024;
        let down = (0..32).map(|_| {
            let mut client = outside.share();
            async move {
                let request = Request::post("/edge")
                    .body(body::streamed(len))
                    .expect("a request");
                let answer = client.send(request).await.expect("an answer");
                assert!(!answer.headers().contains_key("saw-x-caller"));
                body::assert_pattern(answer.into_body(), len).await;
            }
        });
        let up = (0..32).map(|_| async {
            let answer = world
                .edge
                .client()
                .oneshot(request("/any", body::streamed(len)))
                .await;
            let answer = answer.expect("it never fails");
            assert_eq!(answer.headers()["saw-x-caller"], "edge");
            body::assert_pattern(answer.into_body(), len).await;
        });
        tokio::join!(join_all(down), join_all(up));
        world.settled().await;
        assert_eq!(outside.get("/edge").await.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn an_agent_may_be_asked_by_itself() {
    within_limit(async {
        let world = World::new().await;
        let app = world.tunnel.agents[0].clone();
        let mut asked = request("/open/x", Body::from("round"));
        asked.headers_mut().remove(header::HOST);
        let answer = ask(&app, asked).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"round"[..]));
        assert_eq!(answer.headers["saw-x-caller"], "app");
        assert_eq!(answer.headers["saw-host"], "gateway");
        world.settled().await;
    })
    .await;
}
