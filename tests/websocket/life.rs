//! What becomes of a WebSocket when something between its ends, or one of them, goes.

use tokio::sync::Notify;
use tunnel_tests::{
    client::Version,
    websocket::{End, Frame, H2Client, Peer, handshake, opcode, open},
};

use crate::world::{along, carry_both, everywhere, tunnelled};

/// The client is told that the service restarts, or sees the connection break.
async fn assert_lost(client: &mut Peer) {
    match client.try_recv().await {
        Ok(frame) => {
            assert_eq!(frame.code(), Some(1012), "{frame:?}");
            client.ended().await;
        }
        Err(End::Broken(_)) => {}
        // Without a close that is 1006 to every client.
        Err(End::Clean) => {}
    }
}

#[tokio::test]
async fn the_agent_is_killed() {
    along(tunnelled(), async |world| {
        let (mut client, mut server) = world.pair().await;
        carry_both(&mut client, &mut server, &Frame::text("before")).await;
        world.kill_agent().await;
        assert_lost(&mut client).await;
    })
    .await;
}

#[tokio::test]
async fn the_agent_is_killed_within_a_frame() {
    along(tunnelled(), async |world| {
        let (mut client, mut server) = world.pair().await;
        server.send_header(true, opcode::BINARY, 1 << 20).await;
        server
            .send_payload(b"some")
            .await
            .expect("the connection takes bytes");
        client.recv_header().await.expect("the frame begins");
        let mut read = 0;
        while read < 4 {
            read += client
                .recv_payload(4)
                .await
                .expect("its beginning is there")
                .len();
        }
        world.kill_agent().await;
        // Nothing can be said within a frame.
        let end = client.recv_payload(1).await;
        assert!(matches!(end, Err(End::Broken(_))), "{end:?}");
    })
    .await;
}

#[tokio::test]
async fn the_gateway_stops() {
    along(tunnelled(), async |world| {
        let (mut client, mut server) = world.pair().await;
        carry_both(&mut client, &mut server, &Frame::text("before")).await;
        world.tunnel().begin_to_stop();
        let close = client.recv().await;
        assert_eq!(close.code(), Some(1001), "{close:?}");
        client.send(&Frame::new(opcode::CLOSE, close.payload)).await;
        drop(client);
        // The far end learns of it, by a close or by the connection's end.
        if let Ok(frame) = server.try_recv().await {
            assert_eq!(frame.code(), Some(1001), "{frame:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_client_vanishes_in_silence() {
    everywhere(async |world| {
        let (client, mut server) = world.pair().await;
        client.reset();
        assert_gone(&mut server).await;
    })
    .await;
}

/// One end goes while the other one sends, and that one learns of it.
async fn vanish(sender: &mut Peer, other: Peer) {
    let has_begun = Notify::new();
    let vanishing = async {
        has_begun.notified().await;
        other.reset();
    };
    tokio::join!(sender.flood(|_| has_begun.notify_one()), vanishing);
}

#[tokio::test]
async fn the_client_vanishes_while_the_far_end_sends() {
    everywhere(async |world| {
        let (client, mut server) = world.pair().await;
        vanish(&mut server, client).await;
    })
    .await;
}

#[tokio::test]
async fn the_far_end_vanishes_while_the_client_sends() {
    everywhere(async |world| {
        let (mut client, server) = world.pair().await;
        vanish(&mut client, server).await;
    })
    .await;
}

#[tokio::test]
async fn the_client_vanishes_before_the_answer() {
    everywhere(async |world| {
        let opening = tokio::spawn(open(world.way.near, world.addr, handshake("/")));
        let mut arrived = world.arrived().await;
        opening.abort();
        arrived.abandoned().await;
    })
    .await;
}

#[tokio::test]
async fn one_stream_of_a_connection_is_reset_and_the_others_go_on() {
    along(
        crate::world::ways(|way| way.near == Version::Http2),
        async |world| {
            let connection = H2Client::connect(world.addr).await;
            let mut pairs = Vec::new();
            for _ in 0..3 {
                let server = async { world.arrivals.recv().await.expect("a handshake").accept().await };
                let (client, server) = tokio::join!(connection.open(handshake("/")), server);
                pairs.push((client.upgraded().1, server));
            }
            let (client, mut server) = pairs.swap_remove(1);
            client.reset();
            assert_gone(&mut server).await;
            for (client, server) in &mut pairs {
                carry_both(client, server, &Frame::text("still here")).await;
            }
        },
    )
    .await;
}

/// The connection ends, without a word or with a code that says that nobody closed it.
async fn assert_gone(server: &mut Peer) {
    if let Ok(frame) = server.try_recv().await {
        let code = frame.code().expect("only a close can come");
        assert!(![1000, 1005, 1006, 1015].contains(&code), "{code}");
    }
}
