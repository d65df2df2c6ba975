//! Many sockets, and many frames.

use tunnel_tests::{
    client::Version,
    websocket::{Frame, Peer},
};

use crate::{
    bulk::number,
    world::{FRAMES, Place, along, carry_both, everywhere, ways},
};

#[tokio::test]
async fn a_thousand_idle_sockets() {
    // The way out of the tunnel is the same whichever way led in.
    let ways = ways(|way| way.place != Place::H2c || way.near == Version::Http2);
    along(ways, async |world| {
        let mut pairs = world.pairs(1_000).await;
        if let Some(tunnel) = &world.tunnel {
            let session = &tunnel.sessions(tunnel_tests::tunnel::GROUP)[0];
            assert_eq!(session.pending(), 1_000);
        }
        for (number, (client, server)) in pairs.iter_mut().enumerate() {
            carry_both(client, server, &Frame::text(number.to_string())).await;
        }
        drop(pairs);
    })
    .await;
}

/// `TUNNEL_WS_FRAMES=1000000` makes it the full million.
fn frames() -> u64 {
    number(FRAMES, 30_000)
}

/// So many small frames, written many at a time, to one who reads them one by one and lets everybody else go first.
async fn flood(from: &mut Peer, to: &mut Peer, count: u64) {
    const TOGETHER: u64 = 100;
    let frame = |number: u64| Frame::text(format!("{number:020}"));
    let sending = async {
        for start in (0..count).step_by(TOGETHER as usize) {
            let frames: Vec<_> = (start..count.min(start + TOGETHER)).map(frame).collect();
            from.send_all(&frames).await;
        }
    };
    let receiving = async {
        for number in 0..count {
            assert_eq!(to.recv().await, frame(number));
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_flood_of_small_frames_ends_no_connection() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        let before = session(world);
        flood(&mut client, &mut server, frames()).await;
        flood(&mut server, &mut client, frames()).await;
        // The agent's connection is the one that it was: neither end sent a GOAWAY.
        assert_eq!(session(world), before);
        assert_eq!(before.is_some(), world.way.place != Place::Direct);
        carry_both(&mut client, &mut server, &Frame::text("after")).await;
    })
    .await;
}

fn session(world: &crate::world::World) -> Option<tunnel_core::SessionId> {
    let tunnel = world.tunnel.as_ref()?;
    let sessions = tunnel.sessions(tunnel_tests::tunnel::GROUP);
    assert_eq!(sessions.len(), 1);
    Some(sessions[0].id())
}
