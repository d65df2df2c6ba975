//! What the two ends see of each other's handshake.

use http::{HeaderMap, Method, StatusCode, header};
use tunnel_tests::websocket::{Frame, Peer, handshake, open};

use crate::world::{World, carry_both, everywhere};

const PROTOCOL: &str = "sec-websocket-protocol";

/// Offers subprotocols, and answers with these fields. What the client is told.
async fn offer(world: &mut World, answer: &[(&'static str, &str)]) -> (HeaderMap, Peer, Peer) {
    let mut request = handshake("/");
    let fields = request.headers_mut();
    fields.append(PROTOCOL, "a, b".parse().expect("a value"));
    fields.append(PROTOCOL, "c".parse().expect("a value"));
    let client = open(world.way.near, world.addr, request);
    let server = async {
        let arrived = world.arrivals.recv().await.expect("a handshake");
        let offers: Vec<_> = arrived.request.headers().get_all(PROTOCOL).iter().collect();
        assert_eq!(offers, ["a, b", "c"]);
        arrived.accept_with(answer).await
    };
    let (client, server) = tokio::join!(client, server);
    let (head, client) = client.upgraded();
    (head.into_parts().0.headers, client, server)
}

#[tokio::test]
async fn the_far_end_picks_a_subprotocol() {
    everywhere(async |world| {
        let (told, mut client, mut server) = offer(world, &[(PROTOCOL, "b")]).await;
        assert_eq!(told.get_all(PROTOCOL).iter().collect::<Vec<_>>(), ["b"]);
        carry_both(&mut client, &mut server, &Frame::text("b")).await;
    })
    .await;
}

#[tokio::test]
async fn the_far_end_picks_no_subprotocol() {
    everywhere(async |world| {
        let (told, mut client, mut server) = offer(world, &[]).await;
        assert!(!told.contains_key(PROTOCOL), "{told:?}");
        carry_both(&mut client, &mut server, &Frame::text("none")).await;
    })
    .await;
}

#[tokio::test]
async fn the_fields_of_both_heads_pass() {
    everywhere(async |world| {
        let mut request = handshake("/chat/room%201?user=a%20b&x=%2F");
        for (name, value) in [
            ("cookie", "id=1"),
            ("origin", "http://site.example"),
            ("authorization", "Basic eA=="),
        ] {
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        let client = open(world.way.near, world.addr, request);
        let server = async {
            let arrived = world.arrivals.recv().await.expect("a handshake");
            let parts = arrived.request.clone().into_parts().0;
            let peer = arrived
                .accept_with(&[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-far", "end")])
                .await;
            (parts, peer)
        };
        let (client, (seen, _server)) = tokio::join!(client, server);
        let path = seen.uri.path_and_query().expect("a path");
        assert_eq!(path, "/chat/room%201?user=a%20b&x=%2F");
        assert_eq!(seen.headers["cookie"], "id=1");
        assert_eq!(seen.headers["origin"], "http://site.example");
        assert_eq!(seen.headers["authorization"], "Basic eA==");
        let (head, _client) = client.upgraded();
        let cookies: Vec<_> = head.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(head.headers()["x-far"], "end");
    })
    .await;
}

#[tokio::test]
async fn the_far_end_sees_a_handshake_of_its_own_http() {
    everywhere(async |world| {
        let (client, arrived) = tokio::join!(open(world.way.near, world.addr, handshake("/")), async {
            let arrived = world.arrivals.recv().await.expect("a handshake");
            let request = arrived.request.clone();
            (request, arrived.accept().await)
        });
        let (request, _server) = arrived;
        let headers = request.headers();
        assert_eq!(headers[header::SEC_WEBSOCKET_VERSION], "13");
        if world.is_h2() {
            assert!(!headers.contains_key(header::SEC_WEBSOCKET_KEY), "{headers:?}");
            assert_eq!(request.method(), Method::CONNECT);
            return;
        }
        assert_eq!(request.method(), Method::GET);
        assert!(
            headers[header::UPGRADE]
                .as_bytes()
                .eq_ignore_ascii_case(b"websocket")
        );
        assert!(
            headers[header::CONNECTION]
                .as_bytes()
                .eq_ignore_ascii_case(b"upgrade")
        );
        assert!(
            !headers.contains_key(header::TRANSFER_ENCODING) && !headers.contains_key(header::CONTENT_LENGTH)
        );
        let keys: Vec<_> = headers.get_all(header::SEC_WEBSOCKET_KEY).iter().collect();
        // 16 bytes in base64.
        assert!(
            matches!(keys[..], [key] if key.len() == 24 && key.as_bytes().ends_with(b"==")),
            "{keys:?}"
        );
        drop(client);
    })
    .await;
}

#[tokio::test]
async fn another_version_is_for_the_far_end_to_refuse() {
    everywhere(async |world| {
        let mut request = handshake("/");
        request
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_VERSION, "8".parse().expect("a value"));
        let client = open(world.way.near, world.addr, request);
        let server = async {
            let arrived = world.arrivals.recv().await.expect("a handshake");
            assert_eq!(arrived.request.headers()[header::SEC_WEBSOCKET_VERSION], "8");
            arrived.refuse(StatusCode::UPGRADE_REQUIRED, "13 only").await
        };
        let (client, _) = tokio::join!(client, server);
        let answer = client.refused();
        assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(answer.body(), "13 only");
    })
    .await;
}
