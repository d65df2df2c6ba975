//! Any other protocol: its bytes pass, and each direction ends by itself.

use http::{HeaderMap, header};
use tunnel_tests::{
    body,
    client::Version,
    websocket::{End, Peer, upgrade},
};

use crate::world::{Place, Way, World, along, http1, ways};

/// HTTP/2 has other protocols for clients; what is beyond the tunnel speaks HTTP/1.1.
fn ways_of_bytes() -> impl Iterator<Item = Way> {
    let http2 =
        ways(|way| way.near == Version::Http2 && [Place::Agent, Place::Upstream].contains(&way.place));
    http1().chain(http2)
}

/// The fields of a 101 to `foo/1`.
pub(crate) fn answer() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(header::UPGRADE, "foo/1".parse().expect("a value"));
    fields.insert(header::CONNECTION, "Upgrade".parse().expect("a value"));
    fields
}

async fn pair(world: &mut World) -> (Peer, Peer) {
    let request = upgrade("/foo", "foo/1");
    let client = tunnel_tests::websocket::open(world.way.near, world.addr, request);
    let server = async {
        let arrived = world.arrivals.recv().await.expect("a request");
        assert_eq!(arrived.request.headers()[header::UPGRADE], "foo/1");
        assert!(!arrived.request.headers().contains_key(header::SEC_WEBSOCKET_KEY));
        arrived.switch(answer()).await
    };
    let (client, server) = tokio::join!(client, server);
    let (head, client) = client.upgraded();
    if world.way.near == Version::Http1 {
        assert_eq!(head.headers()[header::UPGRADE], "foo/1");
    }
    (client, server)
}

/// So many bytes of the pattern, from one to the other.
async fn pass(from: &mut Peer, to: &mut Peer, len: u64) {
    const PIECE: u64 = 10_007;
    let sending = async {
        for offset in (0..len).step_by(PIECE as usize) {
            let piece = body::at(offset, PIECE.min(len - offset) as usize);
            from.send_bytes(&piece).await.expect("the connection takes bytes");
        }
    };
    let receiving = async {
        for offset in (0..len).step_by(PIECE as usize) {
            let piece = body::at(offset, PIECE.min(len - offset) as usize);
            assert_eq!(to.recv_bytes(piece.len()).await, piece, "at offset {offset}");
        }
    };
    tokio::join!(sending, receiving);
}

fn assert_clean(end: &End) {
    assert!(matches!(end, End::Clean), "{end:?}");
}

#[tokio::test]
async fn bytes_pass_in_both_directions() {
    along(ways_of_bytes(), async |world| {
        let (mut client, mut server) = pair(world).await;
        // What looks like a WebSocket's frame, or is none, is not looked at.
        for bytes in [
            &b"\x81\x05hello"[..],
            b"\xff\xff\xff",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0",
        ] {
            for (from, to) in [(&mut client, &mut server)] {
                from.send_bytes(bytes).await.expect("the connection takes bytes");
                assert_eq!(to.recv_bytes(bytes.len()).await, bytes);
                to.send_bytes(bytes).await.expect("the connection takes bytes");
                assert_eq!(from.recv_bytes(bytes.len()).await, bytes);
            }
        }
        pass(&mut client, &mut server, 3 << 20).await;
        pass(&mut server, &mut client, 3 << 20).await;
    })
    .await;
}

#[tokio::test]
async fn the_client_ends_first() {
    along(ways_of_bytes(), async |world| {
        let (mut client, mut server) = pair(world).await;
        pass(&mut client, &mut server, 100_000).await;
        client.finish().await;
        assert_clean(&server.ended().await);
        pass(&mut server, &mut client, 1 << 20).await;
        server.finish().await;
        assert_clean(&client.ended().await);
    })
    .await;
}

#[tokio::test]
async fn the_far_end_ends_first() {
    along(ways_of_bytes(), async |world| {
        let (mut client, mut server) = pair(world).await;
        pass(&mut server, &mut client, 100_000).await;
        server.finish().await;
        assert_clean(&client.ended().await);
        pass(&mut client, &mut server, 1 << 20).await;
        client.finish().await;
        assert_clean(&server.ended().await);
    })
    .await;
}

#[tokio::test]
async fn nothing_at_all_passes_as_well() {
    along(ways_of_bytes(), async |world| {
        let (mut client, mut server) = pair(world).await;
        client.finish().await;
        assert_clean(&server.ended().await);
        server.finish().await;
        assert_clean(&client.ended().await);
    })
    .await;
}

#[tokio::test]
async fn one_that_breaks_off_does_not_end_like_one_that_is_done() {
    along(ways_of_bytes(), async |world| {
        let (client, mut server) = pair(world).await;
        server
            .send_bytes(b"something")
            .await
            .expect("the connection takes bytes");
        client.reset();
        let end = server.ended().await;
        assert!(matches!(end, End::Broken(_)), "{end:?}");
        if world.way.place == Place::Agent || world.way.near == Version::Http2 {
            // What an app holds can only be dropped, which is an end; so is what hyper's server of HTTP/2 gives to the gateway.
            return;
        }
        let (mut client, server) = pair(world).await;
        client
            .send_bytes(b"something")
            .await
            .expect("the connection takes bytes");
        server.reset();
        let end = client.ended().await;
        assert!(matches!(end, End::Broken(_)), "{end:?}");
    })
    .await;
}
