//! Closes, and connections that end without one.

use tunnel_tests::websocket::{End, Frame, Peer, opcode};

use crate::world::{Place, World, along, carry, everywhere, tunnelled};

const CODES: [u16; 8] = [1000, 1001, 1003, 1007, 1008, 1011, 3000, 4999];

/// Those that no endpoint may send (RFC 6455, section 7.4.1).
const NEVER: [u16; 3] = [1005, 1006, 1015];

/// The longest reason that fits into a control frame.
fn reason() -> String {
    let reason = "ä".repeat(61) + "!";
    assert_eq!(reason.len(), 123);
    reason
}

#[tokio::test]
async fn codes_and_reasons_pass_both_ways() {
    everywhere(async |world| {
        for code in CODES {
            for reason in [String::new(), reason()] {
                let (mut client, mut server) = world.pair().await;
                let close = Frame::close(code, &reason);
                carry(&mut client, &mut server, &close).await;
                carry(&mut server, &mut client, &close).await;
                drop(server);
                assert!(matches!(client.ended().await, End::Clean));
                let (mut client, mut server) = world.pair().await;
                carry(&mut server, &mut client, &close).await;
                carry(&mut client, &mut server, &close).await;
                // The server ends the connection, and nobody else before it.
                server.finish().await;
                assert!(matches!(client.ended().await, End::Clean));
                drop(client);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_close_without_a_code_stays_one() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        let close = Frame::new(opcode::CLOSE, "");
        carry(&mut client, &mut server, &close).await;
        carry(&mut server, &mut client, &close).await;
    })
    .await;
}

#[tokio::test]
async fn after_one_close_the_other_direction_goes_on() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        carry(&mut client, &mut server, &Frame::close(1000, "done")).await;
        for frame in [
            Frame::text("and").more(),
            Frame::new(opcode::CONTINUATION, "more"),
            Frame::binary(vec![7; 100_000]),
        ] {
            carry(&mut server, &mut client, &frame).await;
        }
        carry(&mut server, &mut client, &Frame::close(1000, "done")).await;
        drop(server);
        assert!(matches!(client.ended().await, End::Clean));
    })
    .await;
}

/// Whoever receives such a code answers that it is wrong, as it would without a tunnel, and the tunnel makes none.
#[tokio::test]
async fn codes_that_may_not_be_sent_are_for_the_other_end_to_refuse() {
    everywhere(async |world| {
        for code in NEVER {
            let (mut client, mut server) = world.pair().await;
            carry(&mut client, &mut server, &Frame::close(code, "")).await;
            carry(&mut server, &mut client, &Frame::close(1002, "")).await;
        }
    })
    .await;
}

/// An end that nobody takes for a close: the connection just ends, or the tunnel says why with a code that it may say.
async fn assert_abnormal(peer: &mut Peer) {
    if let Ok(frame) = peer.try_recv().await {
        assert_eq!(frame.opcode, opcode::CLOSE, "{frame:?}");
        let code = frame.code().expect("the tunnel says why");
        assert!(code != 1000 && !NEVER.contains(&code), "{code}");
        peer.ended().await;
    }
}

#[tokio::test]
async fn a_server_that_goes_between_frames_is_no_close() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        carry(&mut server, &mut client, &Frame::text("last words")).await;
        drop(server);
        assert_abnormal(&mut client).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_between_frames_is_no_close() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        carry(&mut client, &mut server, &Frame::text("last words")).await;
        drop(client);
        assert_abnormal(&mut server).await;
    })
    .await;
}

/// Sends the beginning of a frame.
async fn begin(peer: &mut Peer) {
    peer.send_header(true, opcode::BINARY, 1 << 20).await;
    peer.send_payload(&[1; 100_000])
        .await
        .expect("the connection takes bytes");
}

/// Receives the beginning of the frame.
async fn begun(peer: &mut Peer) {
    let header = peer.recv_header().await.expect("the frame begins");
    assert_eq!(header.len, 1 << 20);
    // What was sent may be on its way when the connection breaks, but not all of it is lost here: it is read first.
    let mut read = 0;
    while read < 100_000 {
        read += peer
            .recv_payload(100_000)
            .await
            .expect("the beginning is there")
            .len();
    }
}

/// The frame does not go on.
async fn cut(peer: &mut Peer) {
    let end = peer.recv_payload(1 << 20).await;
    assert!(matches!(end, Err(End::Broken(_))), "{end:?}");
}

#[tokio::test]
async fn a_reset_within_a_frame_leaves_it_unfinished() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        tokio::join!(begin(&mut server), begun(&mut client));
        server.reset();
        cut(&mut client).await;
        let (mut client, mut server) = world.pair().await;
        tokio::join!(begin(&mut client), begun(&mut server));
        client.reset();
        cut(&mut server).await;
    })
    .await;
}

#[tokio::test]
async fn an_end_within_a_frame_leaves_it_unfinished() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        tokio::join!(begin(&mut server), begun(&mut client));
        drop(server);
        cut(&mut client).await;
        let (mut client, mut server) = world.pair().await;
        tokio::join!(begin(&mut client), begun(&mut server));
        drop(client);
        cut(&mut server).await;
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_is_not_masked_is_the_clients_fault() {
    along(tunnelled(), async |world: &mut World| {
        let (mut client, mut server) = world.pair().await;
        client
            .send_bytes(b"\x81\x05hello")
            .await
            .expect("the connection takes bytes");
        let close = client.recv().await;
        assert_eq!(close.code(), Some(1002), "{close:?}");
        client.ended().await;
        if world.way.place == Place::Upstream {
            assert_abnormal(&mut server).await;
        }
    })
    .await;
}
