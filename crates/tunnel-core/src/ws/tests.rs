//! The way of frames through a decoder and an encoder.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

/// A frame as its endpoint means it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain {
    fin: bool,
    rsv: u8,
    opcode: u8,
    payload: Vec<u8>,
}

impl Plain {
    fn wire(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let head = FrameHead {
            fin: self.fin,
            rsv: self.rsv,
            opcode: self.opcode,
            mask: key,
            length: self.payload.len() as u64,
        };
        let mut payload = self.payload.clone();
        mask(&mut payload, key.unwrap_or_default(), 0);
        [&head.encode()[..], &payload].concat()
    }
}

fn frame() -> impl Strategy<Value = Plain> {
    let len = prop_oneof![Just(0), 1..200_usize, 4_000..4_200_usize, 10_000..70_000_usize];
    (any::<bool>(), 0..8_u8, 0..16_u8, len, any::<u8>()).prop_map(|(fin, rsv, opcode, len, first)| Plain {
        fin,
        rsv,
        opcode,
        payload: (0..len).map(|index| first.wrapping_add(index as u8)).collect(),
    })
}

/// The frames that raw bytes are, and the keys of their masks.
fn read(mut bytes: &[u8]) -> Vec<(Plain, Option<[u8; 4]>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (head, len) = FrameHead::parse(bytes).unwrap().expect("a whole head");
        let end = len + usize::try_from(head.length).unwrap();
        let mut payload = bytes[len..end].to_vec();
        mask(&mut payload, head.mask.unwrap_or_default(), 0);
        let frame = Plain {
            fin: head.fin,
            rsv: head.rsv,
            opcode: head.opcode,
            payload,
        };
        frames.push((frame, head.mask));
        bytes = &bytes[end..];
    }
    frames
}

/// All pieces of `parts`, none larger than `limit`.
fn decode(
    is_client: bool,
    parts: &[&[u8]],
    limit: usize,
    is_shared: bool,
) -> Result<Vec<WsFrame>, FrameError> {
    let mut decoder = Decoder::new(is_client);
    let mut pieces = Vec::new();
    for part in parts {
        let part = Bytes::copy_from_slice(part);
        let _other = is_shared.then(|| part.clone());
        decoder.push(part);
        while let Some(len) = decoder.next_len()? {
            pieces.push(decoder.take(len.min(limit)).expect("there is a piece"));
        }
    }
    Ok(pieces)
}

/// The raw bytes of `pieces`, of which up to `together` wait at a time.
fn encode(to_server: bool, pieces: &[WsFrame], together: usize, is_shared: bool) -> Vec<Bytes> {
    let mut encoder = Encoder::new(to_server);
    let mut raw = Vec::new();
    let mut random = 0;
    for pieces in pieces.chunks(together) {
        for piece in pieces {
            if !encoder.has_room(piece.data.len()) {
                raw.extend(std::iter::from_fn(|| encoder.next()));
            }
            assert!(
                encoder.has_room(piece.data.len()),
                "there is room when nothing is there"
            );
            let data = if is_shared {
                piece.data.clone()
            } else {
                Bytes::copy_from_slice(&piece.data)
            };
            encoder.push(
                WsFrame {
                    data,
                    ..piece.clone()
                },
                || {
                    random += 1;
                    [random; 16]
                },
            );
        }
        raw.extend(std::iter::from_fn(|| encoder.next()));
        assert!(encoder.is_empty());
    }
    raw
}

fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn frames_come_out_as_they_went_in(
        frames in vec((frame(), any::<[u8; 4]>()), 0..8),
        cuts in vec(any::<Index>(), 0..30),
        limit in prop_oneof![Just(1_usize << 16), 1024..9_000_usize],
        together in 1..40_usize,
        is_client in any::<bool>(),
        is_shared in any::<bool>(),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(frame, key)| frame.wire(is_client.then_some(*key))).collect();
        let pieces = decode(is_client, &cut(&bytes, &cuts), limit, is_shared).unwrap();
        let mut assembler = Assembler::default();
        for piece in &pieces {
            prop_assert_eq!(assembler.check(piece), Ok(()));
            prop_assert!(piece.data.len() <= limit);
        }
        let raw = encode(is_client, &pieces, together, is_shared);
        prop_assert!(raw.iter().all(|raw| !raw.is_empty()));
        let raw = raw.concat();
        if !is_client {
            prop_assert_eq!(&raw, &bytes);
        }
        let read = read(&raw);
        prop_assert!(read.iter().all(|(_, key)| key.is_some() == is_client));
        let (read, frames): (Vec<_>, Vec<_>) = (
            read.into_iter().map(|(frame, _)| frame).collect(),
            frames.into_iter().map(|(frame, _)| frame).collect(),
        );
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn random_bytes_never_panic(parts in vec(vec(any::<u8>(), 0..60), 0..6), is_client in any::<bool>()) {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        if let Ok(pieces) = decode(is_client, &parts, 1024, false) {
            let mut assembler = Assembler::default();
            prop_assert!(pieces.iter().all(|piece| assembler.check(piece).is_ok()));
            encode(is_client, &pieces, 3, false);
        }
    }
}

fn small(len: usize) -> WsFrame {
    WsFrame::whole(true, opcode::BINARY, vec![1; len].into())
}

#[test]
fn small_pieces_come_out_together_and_large_ones_alone() {
    let pieces: Vec<_> = (0..200).map(|_| small(100)).collect();
    let raw = encode(false, &pieces, 200, false);
    assert!(raw.len() == 2 && raw[0].len() <= 16 * 1024, "{} parts", raw.len());
    let raw = encode(false, &[small(10), small(5_000), small(10)], 3, false);
    let lens: Vec<_> = raw.iter().map(Bytes::len).collect();
    assert_eq!(lens, [12 + 4, 5_000, 12]);
}

#[test]
fn a_large_piece_is_not_copied_when_it_need_not_be() {
    let piece = small(5_000);
    let address = piece.data.as_ptr();
    let raw = encode(false, std::slice::from_ref(&piece), 1, true);
    assert_eq!(raw[1].as_ptr(), address);
    drop(raw);
    let mut encoder = Encoder::new(true);
    encoder.push(piece, || [9; 16]);
    let raw: Vec<_> = std::iter::from_fn(|| encoder.next()).collect();
    assert_eq!(
        (raw[0].len(), raw[1].as_ptr()),
        (8, address),
        "it was nobody else's"
    );
}

#[test]
fn a_frame_that_is_here_in_full_is_unmasked_where_it_is() {
    let bytes = Bytes::from(
        Plain {
            fin: true,
            rsv: 0,
            opcode: 1,
            payload: vec![3; 50],
        }
        .wire(Some([1, 2, 3, 4])),
    );
    let address = bytes.as_ptr();
    let mut decoder = Decoder::new(true);
    decoder.push(bytes);
    assert_eq!(decoder.next_len(), Ok(Some(50)));
    let piece = decoder.take(50).unwrap();
    assert_eq!(
        (&piece.data[..], piece.more, piece.length),
        (&[3; 50][..], false, 0)
    );
    assert_eq!(piece.data.as_ptr(), address.wrapping_add(6));
}

#[test]
fn each_frame_has_a_key_of_its_own() {
    let mut encoder = Encoder::new(true);
    let mut next = 0_u8;
    for _ in 0..8 {
        encoder.push(small(1), || {
            let random = std::array::from_fn(|index| next * 16 + index as u8);
            next += 1;
            random
        });
    }
    let raw = encoder.next().unwrap();
    let keys: std::collections::HashSet<_> = read(&raw).into_iter().map(|(_, key)| key).collect();
    assert_eq!((keys.len(), next), (8, 2));
}

#[test]
fn masks_must_be_as_the_side_must_have_them() {
    let (masked, plain) = (small_wire(Some([1; 4])), small_wire(None));
    assert_eq!(decode(false, &[&masked], 9, false), Err(FrameError::Masked));
    assert_eq!(decode(true, &[&plain], 9, false), Err(FrameError::Unmasked));
}

fn small_wire(key: Option<[u8; 4]>) -> Vec<u8> {
    Plain {
        fin: true,
        rsv: 0,
        opcode: 2,
        payload: vec![1],
    }
    .wire(key)
}
