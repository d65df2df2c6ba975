//! permessage-deflate (RFC 7692) is a matter of the endpoints.

use tunnel_tests::websocket::{Frame, handshake, opcode};

use crate::world::{World, carry_both, everywhere};

const EXTENSIONS: &str = "sec-websocket-extensions";
const OFFER: &str =
    "permessage-deflate; client_max_window_bits; server_no_context_takeover, x-other; a=\"b\"";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12";

/// Compression is the first reserved bit.
const RSV1: u8 = 4;

/// Offers extensions, and answers with these. What the client is told.
async fn negotiate(
    world: &mut World,
    answer: &[(&'static str, &str)],
) -> (Option<String>, [tunnel_tests::websocket::Peer; 2]) {
    let mut request = handshake("/");
    request
        .headers_mut()
        .append(EXTENSIONS, OFFER.parse().expect("a value"));
    let client = tunnel_tests::websocket::open(world.way.near, world.addr, request);
    let server = async {
        let arrived = world.arrivals.recv().await.expect("a handshake");
        let offers: Vec<_> = arrived.request.headers().get_all(EXTENSIONS).iter().collect();
        assert_eq!(offers, [OFFER]);
        arrived.accept_with(answer).await
    };
    let (client, server) = tokio::join!(client, server);
    let (head, client) = client.upgraded();
    let told = head.headers().get(EXTENSIONS);
    let told = told.map(|value| value.to_str().expect("text").to_owned());
    (told, [client, server])
}

#[tokio::test]
async fn it_is_negotiated_end_to_end() {
    everywhere(async |world| {
        let (told, [mut client, mut server]) = negotiate(world, &[(EXTENSIONS, ANSWER)]).await;
        assert_eq!(told.as_deref(), Some(ANSWER));
        // RFC 7692, section 7.2.3.1: "Hello" whole, and in two fragments, of which only the first has the bit.
        let hello: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        for frame in [
            Frame::text(hello).reserved(RSV1),
            Frame::text(&hello[..3]).more().reserved(RSV1),
            Frame::new(opcode::CONTINUATION, &hello[3..]),
            Frame::text("not compressed"),
        ] {
            carry_both(&mut client, &mut server, &frame).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_negotiated_that_the_far_end_did_not_take() {
    everywhere(async |world| {
        let (told, [mut client, mut server]) = negotiate(world, &[]).await;
        assert_eq!(told, None);
        carry_both(&mut client, &mut server, &Frame::text("plain")).await;
    })
    .await;
}

#[tokio::test]
async fn a_bomb_stays_small() {
    everywhere(async |world| {
        let (_, [mut client, mut server]) = negotiate(world, &[(EXTENSIONS, ANSWER)]).await;
        let bomb = bomb(10 << 20);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        carry_both(&mut client, &mut server, &Frame::binary(bomb).reserved(RSV1)).await;
    })
    .await;
}

/// A deflate block (RFC 1951, section 3.2.6) of so many zeros: one literal, and then copies of it, 258 at a time.
fn bomb(zeros: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0b1, 1); // the last block
    bits.put(0b01, 2); // fixed codes, least significant bit first
    bits.code(0b0011_0000, 8); // the literal 0
    for _ in 0..zeros / 258 {
        bits.code(0b1100_0101, 8); // length 258
        bits.code(0, 5); // distance 1
    }
    bits.code(0, 7); // the end of the block
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Least significant bit first.
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("one was pushed");
            *last |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// Most significant bit first, as codes stand.
    fn code(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.put(value >> bit, 1);
        }
    }
}
