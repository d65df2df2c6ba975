//! Handshakes that come to nothing.

use http::{HeaderMap, Request, StatusCode, header};
use tunnel_tests::{
    client::{Client, RawClient, Version},
    websocket::{self, Arrived, handshake, open, raw_handshake},
};

use crate::world::{Place, World, along, everywhere, http1, tunnelled, ways};

#[tokio::test]
async fn a_refusal_comes_back_as_it_is() {
    everywhere(async |world| {
        let client = open(world.way.near, world.addr, handshake("/"));
        let server = async {
            let arrived = world.arrivals.recv().await.expect("a handshake");
            arrived.refuse(StatusCode::FORBIDDEN, "not you").await
        };
        let (client, refused) = tokio::join!(client, server);
        let answer = client.refused();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(answer.headers()["x-reason"], "because");
        assert_eq!(answer.body(), "not you");
        if let (Some(refused), Place::Upstream) = (refused, world.way.place) {
            // The upstream's connection could go on, but does not.
            refused.closed().await;
        }
        let again = world.pair();
        drop(again.await);
    })
    .await;
}

#[tokio::test]
async fn the_outside_connection_closes_after_a_refusal() {
    along(
        ways(|way| way.near == Version::Http1 && way.place != Place::Direct),
        async |world| {
            let mut client = RawClient::connect(world.addr).await;
            client.send(raw_handshake(world.addr, &handshake("/"))).await;
            world
                .arrived()
                .await
                .refuse(StatusCode::FORBIDDEN, "not you")
                .await;
            let answer = client.response().await;
            assert_eq!(
                (answer.status, &answer.body[..]),
                (StatusCode::FORBIDDEN, &b"not you"[..])
            );
            client.closed().await;
        },
    )
    .await;
}

/// What an upstream can answer that is no WebSocket, though it says 101.
fn wrong(arrived: &Arrived) -> Vec<(&'static str, HeaderMap)> {
    let right = arrived.answer();
    let with = |name: http::HeaderName, value: Option<&'static str>| {
        let mut fields = right.clone();
        fields.remove(&name);
        if let Some(value) = value {
            fields.insert(name, value.parse().expect("a value"));
        }
        fields
    };
    vec![
        (
            "another key's answer",
            with(header::SEC_WEBSOCKET_ACCEPT, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ),
        ("no answer to the key", with(header::SEC_WEBSOCKET_ACCEPT, None)),
        ("another protocol", with(header::UPGRADE, Some("foo/1"))),
        ("no protocol", with(header::UPGRADE, None)),
    ]
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_502() {
    along(ways(|way| way.place == Place::Upstream), async |world| {
        for number in 0..4 {
            let client = open(world.way.near, world.addr, fresh(world.way.near));
            let server = async {
                let arrived = world.arrivals.recv().await.expect("a handshake");
                let (what, fields) = wrong(&arrived).swap_remove(number);
                let mut peer = arrived.switch(fields).await;
                peer.ended().await;
                what
            };
            let (client, what) = tokio::join!(client, server);
            assert_eq!(client.refused().status(), StatusCode::BAD_GATEWAY, "{what}");
        }
        let _both = world.pair().await;
    })
    .await;
}

/// By HTTP/1.1 with another key than the one whose answer is wrong.
fn fresh(near: Version) -> Request<()> {
    let mut request = handshake("/");
    if near == Version::Http1 {
        websocket::set_key(&mut request, "AAECAwQFBgcICQoLDA0ODw==");
    }
    request
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_a_502() {
    along(
        tunnelled().filter(|way| way.place == Place::Upstream),
        async |world| {
            let mut client = Client::connect(world.way.near, world.addr).await;
            let asking = client.get("/");
            let server = async {
                let arrived = world.arrivals.recv().await.expect("a request");
                assert!(!arrived.request.headers().contains_key(header::UPGRADE));
                let mut fields = HeaderMap::new();
                fields.insert(header::UPGRADE, "websocket".parse().expect("a value"));
                fields.insert(header::CONNECTION, "Upgrade".parse().expect("a value"));
                arrived.switch(fields).await.ended().await;
            };
            let (answer, ()) = tokio::join!(asking, server);
            assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        },
    )
    .await;
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_a_400() {
    const BODIES: [&str; 2] = [
        "content-length: 5\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    along(http1().filter(|way| way.place != Place::Direct), async |world| {
        for protocol in ["websocket", "foo/1"] {
            for body in BODIES {
                let mut request = handshake("/");
                if protocol != "websocket" {
                    request = websocket::upgrade("/", protocol);
                }
                let mut bytes = raw_handshake(world.addr, &request);
                bytes.truncate(bytes.len() - 2);
                bytes.extend_from_slice(body.as_bytes());
                let mut client = RawClient::connect(world.addr).await;
                let answer = client.call(bytes).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{protocol} {body}");
                client.closed().await;
            }
        }
        world.assert_no_arrival();
        sentinel(world).await;
    })
    .await;
}

/// The next request to arrive is this one.
async fn sentinel(world: &mut World) {
    let client = open(world.way.near, world.addr, handshake("/sentinel"));
    let server = async {
        let arrived = world.arrivals.recv().await.expect("a handshake");
        assert_eq!(arrived.request.uri().path(), "/sentinel");
        arrived.accept().await
    };
    drop(tokio::join!(client, server));
}

#[tokio::test]
async fn a_far_end_that_goes_without_an_answer_is_a_502() {
    along(ways(|way| way.place == Place::Upstream), async |world| {
        let client = open(world.way.near, world.addr, handshake("/"));
        let server = async { drop(world.arrivals.recv().await) };
        let (client, ()) = tokio::join!(client, server);
        assert_eq!(client.refused().status(), StatusCode::BAD_GATEWAY);
    })
    .await;
}
