//! A gateway that stops, and sockets that are open.

use std::time::Duration;

use tokio::sync::mpsc;
use tunnel_tests::{
    client::Version,
    tunnel::Tunnel,
    wait::within_limit,
    websocket::{self, Arrived, End, Frame, Peer, handshake, opcode, open},
};
use tunnel_transport::entry::Entry;

const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// A tunnel to an app of which the test has the other end, and both ends of a WebSocket.
async fn pair(version: Version, drain: Duration) -> (Tunnel, Peer, Peer) {
    let (sender, mut arrivals) = mpsc::channel::<Arrived>(16);
    let entry = Entry::new().drain(drain);
    let mut tunnel = Tunnel::builder().entry(entry).start().await;
    tunnel
        .add_agent(tunnel_tests::tunnel::GROUP, websocket::app(sender))
        .await;
    let server = async { arrivals.recv().await.expect("a handshake").accept().await };
    let (client, server) = tokio::join!(open(version, tunnel.addr, handshake("/")), server);
    (tunnel, client.upgraded().1, server)
}

#[tokio::test]
async fn the_frame_that_has_begun_is_whole_before_the_close() {
    within_limit(async {
        for version in VERSIONS {
            let (tunnel, mut client, mut server) = pair(version, Duration::from_secs(60)).await;
            server.send_header(true, opcode::BINARY, 100_000).await;
            server
                .send_payload(&[3; 60_000])
                .await
                .expect("the connection takes bytes");
            let header = client.recv_header().await.expect("a frame begins");
            assert_eq!(header.len, 100_000);
            tunnel.begin_to_stop();
            server
                .send_payload(&[3; 40_000])
                .await
                .expect("the connection takes bytes");
            let mut len = 0;
            while len < 100_000 {
                len += client
                    .recv_payload(100_000)
                    .await
                    .expect("the frame goes on")
                    .len();
            }
            let close = client.recv().await;
            assert_eq!(close.code(), Some(1001), "{close:?}");
            client.send(&Frame::new(opcode::CLOSE, close.payload)).await;
            // The client's answer is the last that the far end hears.
            assert_eq!(server.recv().await.code(), Some(1001));
            drop((client, server));
            tunnel.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_answer_the_close_is_cut_off() {
    within_limit(async {
        for version in VERSIONS {
            let (tunnel, mut client, mut server) = pair(version, Duration::from_millis(200)).await;
            tunnel.begin_to_stop();
            assert_eq!(client.recv().await.code(), Some(1001));
            client.ended().await;
            if let Ok(frame) = server.try_recv().await {
                panic!("{frame:?}");
            }
            drop((client, server));
            tunnel.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_does_not_end_is_cut_off() {
    within_limit(async {
        for version in VERSIONS {
            let (tunnel, mut client, mut server) = pair(version, Duration::from_millis(200)).await;
            server.send_header(true, opcode::BINARY, 100_000).await;
            server
                .send_payload(b"!")
                .await
                .expect("the connection takes a byte");
            client.recv_header().await.expect("a frame begins");
            assert_eq!(client.recv_payload(1).await.expect("its first byte"), "!");
            tunnel.begin_to_stop();
            let end = client.recv_payload(1).await;
            assert!(matches!(end, Err(End::Broken(_))), "{end:?}");
            drop((client, server));
            tunnel.settled().await;
        }
    })
    .await;
}
