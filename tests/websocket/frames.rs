//! Frames come out as they went in.

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tunnel_core::Settings;
use tunnel_tests::{
    body,
    websocket::{Frame, opcode},
};

use crate::world::{carry, carry_both, everywhere};

/// The payloads at which the form of the length changes, and those around the largest chunk.
fn sizes() -> Vec<usize> {
    let chunk = Settings::default().max_chunk as usize;
    vec![
        0,
        1,
        125,
        126,
        127,
        65_535,
        65_536,
        65_537,
        chunk - 1,
        chunk,
        chunk + 1,
        1 << 20,
    ]
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        bytes.extend_from_slice(&body::at(bytes.len() as u64, (len - bytes.len()).min(1 << 12)));
    }
    bytes
}

#[tokio::test]
async fn every_size_passes() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        for size in sizes() {
            carry_both(&mut client, &mut server, &Frame::binary(pattern(size))).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_frame_of_16_mib_stays_one() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        carry_both(&mut client, &mut server, &Frame::binary(pattern(16 << 20))).await;
    })
    .await;
}

#[tokio::test]
async fn the_fragments_of_16_mib_stay_as_they_are() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        let mut random = SmallRng::seed_from_u64(6);
        let mut left = 16_usize << 20;
        let mut kind = opcode::BINARY;
        while left > 0 {
            // As many that are tiny as large ones.
            let largest = [1, 200, 1 << 16][random.random_range(0..3)];
            let size = random.random_range(1..=largest).min(left);
            left -= size;
            let mut frame = Frame::new(kind, pattern(size));
            frame.fin = left == 0;
            carry(&mut client, &mut server, &frame).await;
            if size > 1 << 12 {
                carry(&mut server, &mut client, &frame).await;
            }
            kind = opcode::CONTINUATION;
        }
    })
    .await;
}

/// A message in fragments, two of them empty, with control frames between them.
fn interleaved() -> Vec<Frame> {
    vec![
        Frame::text("fir").more(),
        Frame::new(opcode::PING, "one"),
        Frame::new(opcode::CONTINUATION, "").more(),
        Frame::new(opcode::PONG, "unasked"),
        Frame::new(opcode::PING, ""),
        Frame::new(opcode::CONTINUATION, "st").more(),
        Frame::new(opcode::PING, vec![b'p'; 125]),
        Frame::new(opcode::CONTINUATION, ""),
        Frame::text("second"),
    ]
}

#[tokio::test]
async fn fragments_and_the_control_frames_between_them_keep_their_order() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        for frame in interleaved() {
            carry_both(&mut client, &mut server, &frame).await;
        }
        // Written at once as well.
        client.send_all(&interleaved()).await;
        server.send_all(&interleaved()).await;
        for frame in interleaved() {
            assert_eq!(server.recv().await, frame);
            assert_eq!(client.recv().await, frame);
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_answers_pings_but_the_endpoints() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        client.send(&Frame::new(opcode::PING, "are you there")).await;
        assert_eq!(server.recv().await, Frame::new(opcode::PING, "are you there"));
        server.send(&Frame::new(opcode::PONG, "are you there")).await;
        server.send(&Frame::text("after")).await;
        assert_eq!(client.recv().await, Frame::new(opcode::PONG, "are you there"));
        assert_eq!(client.recv().await, Frame::text("after"));
    })
    .await;
}

#[tokio::test]
async fn reserved_bits_pass() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        for bits in 0..8 {
            let first = Frame::binary("first").more().reserved(bits);
            let last = Frame::new(opcode::CONTINUATION, "last").reserved(bits);
            for frame in [first, last] {
                carry_both(&mut client, &mut server, &frame).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_not_mangled() {
    const TEXTS: [&[u8]; 4] = [
        b"\xff\xfe",
        b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80",
        b"a\x00b\r\n",
        b"\xf0\x9f",
    ];
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        for text in TEXTS {
            carry_both(&mut client, &mut server, &Frame::text(text)).await;
            // A character may be cut by a frame's end.
            for frame in [Frame::text(text).more(), Frame::new(opcode::CONTINUATION, text)] {
                carry_both(&mut client, &mut server, &frame).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_frame_byte_by_byte_comes_out_as_one() {
    everywhere(async |world| {
        let (mut client, mut server) = world.pair().await;
        let receiving = server.recv();
        let sending = async {
            client.send_header(true, opcode::TEXT, 300).await;
            for offset in 0..300 {
                let byte = body::at(offset, 1);
                client
                    .send_payload(&byte)
                    .await
                    .expect("the connection takes a byte");
                tokio::task::yield_now().await;
            }
        };
        let (frame, ()) = tokio::join!(receiving, sending);
        assert_eq!(frame, Frame::text(body::at(0, 300)));
    })
    .await;
}
