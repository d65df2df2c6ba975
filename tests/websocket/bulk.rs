//! More than anybody would keep in memory.

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
};

use tunnel_tests::{
    body,
    websocket::{Peer, opcode},
};

use crate::world::{FRAME, everywhere};

/// The bytes of the large frame; `TUNNEL_WS_FRAME=1073741824` makes it the full one.
fn frame_len() -> u64 {
    number(FRAME, 48 << 20)
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// What may be between the two ends, in bytes: what the kernel has for three connections, and what the tunnel has at most for
/// one exchange.
pub(crate) const BETWEEN: u64 = 3 * (6 << 20) + (8 << 20);

const PIECE: u64 = 60_000;

/// One frame, of which the sender is never far ahead of the receiver: nobody keeps it whole.
async fn stream(from: &mut Peer, to: &mut Peer, len: u64) {
    let sent = AtomicU64::new(0);
    let sending = async {
        from.send_header(true, opcode::BINARY, len).await;
        let mut offset = 0;
        while offset < len {
            let piece = body::at(offset, PIECE.min(len - offset) as usize);
            from.send_payload(&piece)
                .await
                .expect("the connection takes bytes");
            offset += piece.len() as u64;
            sent.store(offset, Ordering::Relaxed);
        }
    };
    let receiving = async {
        let header = to.recv_header().await.expect("the frame begins");
        assert_eq!(
            (header.fin, header.opcode, header.len),
            (true, opcode::BINARY, len)
        );
        let mut offset = 0;
        while offset < len {
            let piece = to.recv_payload(PIECE as usize).await.expect("the frame goes on");
            assert_eq!(piece, body::at(offset, piece.len()), "at offset {offset}");
            offset += piece.len() as u64;
            let between = sent.load(Ordering::Relaxed).saturating_sub(offset);
            assert!(between <= BETWEEN, "{between} bytes are kept");
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_large_frame_passes_and_is_kept_nowhere() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        stream(&mut client, &mut server, frame_len()).await;
        stream(&mut server, &mut client, frame_len()).await;
    })
    .await;
}
