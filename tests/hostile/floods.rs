//! Floods of HTTP/2: as many frames as a client can send.

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;

use crate::{
    frame::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, POST, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, frame, goaway, hello, post, streams,
    },
    world::{PORTS, Port, World, flood},
};

/// Sends pieces without end until each port has had enough, and gives the error code with which it says so, if it does.
async fn stopped(pieces: impl Fn(u32) -> Vec<u8>) -> Vec<(Port, Option<u32>)> {
    let world = World::new().await;
    let mut codes = Vec::new();
    for port in PORTS {
        let connection = world.connect(port, "h2").await;
        let pieces = std::iter::once(hello()).chain((0..u32::MAX / 128).map(|at| {
            let batch = (at * 64..(at + 1) * 64).flat_map(&pieces);
            batch.collect()
        }));
        let came = world.survives(flood(connection, pieces)).await;
        codes.push((port, goaway(&came)));
    }
    codes
}

async fn is_told_to_calm_down(pieces: impl Fn(u32) -> Vec<u8>) {
    for (port, code) in stopped(pieces).await {
        // What TLS or the kernel drops behind a closed socket may be the very frame.
        assert!(
            code.is_none_or(|code| code == ENHANCE_YOUR_CALM),
            "{port:?}: {code:?}"
        );
    }
}

#[tokio::test]
async fn rapid_reset() {
    is_told_to_calm_down(|at| {
        let stream = 2 * at + 1;
        [post(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await;
}

/// The client makes the server reset each stream (CVE-2025-8671), here by more window than there can be.
#[tokio::test]
async fn made_you_reset() {
    is_told_to_calm_down(|at| {
        let stream = 2 * at + 1;
        [
            post(stream),
            frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        ]
        .concat()
    })
    .await;
}

#[tokio::test]
async fn a_head_of_continuations_without_end() {
    let piece = [&[0x00, 1, b'x', 0x7f, 0x81, 0x7e][..], &[b'y'; 16_256]].concat();
    let codes = stopped(move |at| match at {
        0 => frame(HEADERS, 0, 1, POST),
        _ => frame(CONTINUATION, 0, 1, &piece[..]),
    });
    codes.await;
}

#[tokio::test]
async fn empty_continuations_without_end() {
    let codes = stopped(|at| match at {
        0 => frame(HEADERS, 0, 1, POST),
        _ => frame(CONTINUATION, 0, 1, &[]),
    });
    codes.await;
}

#[tokio::test]
async fn empty_data_without_end() {
    is_told_to_calm_down(|at| match at {
        0 => post(1),
        _ => frame(DATA, 0, 1, &[]),
    })
    .await;
}

/// The client does not read: what is owed to it must not pile up.
async fn unread(piece: &[u8]) {
    let world = World::new().await;
    let batch = piece.repeat(1_000);
    let attacks = PORTS.map(async |port| {
        let mut connection = world.connect(port, "h2").await;
        let mut sent = connection.write_all(&hello()).await;
        while sent.is_ok() {
            sent = connection.write_all(&batch).await;
        }
    });
    world.survives(join_all(attacks)).await;
}

#[tokio::test]
async fn pings_whose_answers_nobody_reads() {
    unread(&frame(PING, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn settings_whose_acknowledgements_nobody_reads() {
    unread(&frame(SETTINGS, 0, 0, &[])).await;
}

/// One field of 4,000 bytes in the table, named thousands of times.
#[tokio::test]
async fn a_head_that_grows_in_the_decoder() {
    let world = World::new().await;
    let mut block = [POST, &[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], &[b'y'; 4_000]].concat();
    block.resize(16 * 1024, 0xbe);
    for port in PORTS {
        let connection = world.connect(port, "h2").await;
        let pieces = [hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)];
        let before = world.begun.load(std::sync::atomic::Ordering::Relaxed);
        let came = world.survives(flood(connection, pieces.into_iter())).await;
        let refused = goaway(&came).is_some() || !streams(&came, RST_STREAM).is_empty();
        let answered = !streams(&came, HEADERS).is_empty();
        assert!(refused || answered, "{port:?}: {came:?}");
        let begun = world.begun.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(begun, before, "it does not reach the agent");
    }
}
