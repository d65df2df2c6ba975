//! One that does not read, beside others that do.

use tokio::sync::Notify;
use tunnel_tests::websocket::{Frame, Peer};

use crate::{
    bulk::BETWEEN,
    world::{carry_both, everywhere},
};

/// Sends until the other end is gone, and tells when it has begun in earnest: it is stopped soon after. What it sent.
async fn flood(peer: &mut Peer, is_flooded: &Notify) -> u64 {
    /// Less than any window that the sender may meet.
    const ENOUGH: u64 = 48 * 1024;
    let mut sent = 0;
    peer.flood(|len| {
        sent += len as u64;
        if sent >= ENOUGH {
            is_flooded.notify_one();
        }
    })
    .await;
    sent
}

/// Two directions, in each of which somebody does not read, and a hundred that talk beside them, all over one lane.
#[tokio::test]
async fn a_stalled_reader_harms_no_other() {
    everywhere(async |world| {
        let (stalled, mut flooding) = world.pair().await;
        let (mut client_flooding, stalled_server) = world.pair().await;
        let mut pairs = world.pairs(100).await;
        let floods = [Notify::new(), Notify::new()];
        let others = async {
            for flood in &floods {
                flood.notified().await;
            }
            for number in 0..20 {
                let talks = pairs.iter_mut().map(|(client, server)| async move {
                    carry_both(client, server, &Frame::text(format!("message {number}"))).await;
                });
                futures_util::future::join_all(talks).await;
            }
            drop((stalled, stalled_server));
        };
        let (sent, client_sent, ()) = tokio::join!(
            flood(&mut flooding, &floods[0]),
            flood(&mut client_flooding, &floods[1]),
            others
        );
        assert!(
            sent <= BETWEEN && client_sent <= BETWEEN,
            "{sent} and {client_sent}"
        );
    })
    .await;
}
