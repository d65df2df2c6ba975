//! What follows a request before it is answered: it belongs to the new protocol, and is never a request.

use http::StatusCode;
use tunnel_tests::{
    client::RawClient,
    websocket::{Frame, Peer, Wire, handshake, opcode, raw_handshake, upgrade},
};

use crate::world::{Place, World, along, http1};

const SMUGGLED: &[u8] = b"GET /SMUGGLED HTTP/1.1\r\nhost: victim.example\r\n\r\n";

/// A handshake and what follows it, written at once.
async fn send(world: &World, request: &http::Request<()>, early: &[u8]) -> RawClient {
    let mut bytes = raw_handshake(world.addr, request);
    bytes.extend_from_slice(early);
    let mut client = RawClient::connect(world.addr).await;
    client.send(bytes).await;
    client
}

#[tokio::test]
async fn frames_before_the_101_are_delivered_after_it() {
    along(http1(), async |world| {
        let early = Frame::text("early");
        let mut bytes = bytes::BytesMut::new();
        early.header(Some([0; 4])).encode(&mut bytes);
        bytes.extend_from_slice(&early.payload);
        let mut client = send(world, &handshake("/"), &bytes).await;
        let mut server = world.arrived().await.accept().await;
        assert_eq!(client.head().await.0, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(server.recv().await, early);
        let (socket, read) = client.into_parts();
        let mut client = Peer::client(Wire::Socket(socket), read);
        server.send(&Frame::text("late")).await;
        assert_eq!(client.recv().await, Frame::text("late"));
        client.send(&Frame::new(opcode::PING, "later")).await;
        assert_eq!(server.recv().await, Frame::new(opcode::PING, "later"));
    })
    .await;
}

#[tokio::test]
async fn bytes_of_another_protocol_before_the_101_are_delivered_after_it() {
    along(http1(), async |world| {
        let mut client = send(world, &upgrade("/", "foo/1"), SMUGGLED).await;
        let arrived = world.arrived().await;
        assert_eq!(arrived.request.uri().path(), "/");
        let mut server = arrived.switch(crate::opaque::answer()).await;
        assert_eq!(client.head().await.0, StatusCode::SWITCHING_PROTOCOLS);
        // As bytes, on the connection that changed its protocol.
        assert_eq!(server.recv_bytes(SMUGGLED.len()).await, SMUGGLED);
        world.assert_no_arrival();
    })
    .await;
}

#[tokio::test]
async fn they_are_never_a_request() {
    along(http1().filter(|way| way.place != Place::Direct), async |world| {
        for request in [handshake("/"), upgrade("/", "foo/1")] {
            for status in [StatusCode::OK, StatusCode::FORBIDDEN, StatusCode::NO_CONTENT] {
                let mut client = send(world, &request, SMUGGLED).await;
                let arrived = world.arrived().await;
                let body = if status == StatusCode::NO_CONTENT {
                    ""
                } else {
                    "no"
                };
                let refused = arrived.refuse(status, body).await;
                let answer = client.response().await;
                assert_eq!((answer.status, &answer.body[..]), (status, body.as_bytes()));
                client.closed().await;
                if let Some(refused) = refused {
                    refused.closed().await;
                }
            }
        }
        let sentinel = async { world.arrivals.recv().await.expect("a handshake") };
        let (client, arrived) = tokio::join!(send_sentinel(world.addr), sentinel);
        assert_eq!(arrived.request.uri().path(), "/sentinel");
        drop(client);
    })
    .await;
}

async fn send_sentinel(addr: std::net::SocketAddr) -> RawClient {
    let mut client = RawClient::connect(addr).await;
    client.send(raw_handshake(addr, &handshake("/sentinel"))).await;
    client
}
