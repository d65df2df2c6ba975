//! Takes the answers to our own pings out of a client's stream, so that the server never sees answers to what it did not ask.

use bytes::Bytes;

use crate::ws::{FrameHead, mask, opcode};

/// What our pings carry, in bytes: nobody else's are the same.
pub(super) const PING_BYTES: usize = 8;

/// Passes the raw bytes of a client on, but for Pongs with our payload.
///
/// It holds back what may become such a Pong: the head of a frame, or a Pong of the same length, until it is there in full.
/// Bytes that are no frames pass as they are, from where they are none.
#[derive(Debug)]
pub(super) struct PongFilter {
    payload: [u8; PING_BYTES],
    /// Bytes of the frame that passes that have not come yet; everything that is still to come, if these are no frames.
    rest: u64,
    held: Vec<u8>,
}

/// What stands at the beginning of some bytes, at the border of a frame.
enum Next {
    /// A frame that passes, or a part of it: so many bytes are here, so many come later.
    Frame(usize, u64),
    /// One of our Pongs.
    Ours(usize),
    /// Too little to tell.
    Part,
}

impl PongFilter {
    pub(super) const fn new(payload: [u8; PING_BYTES]) -> Self {
        Self {
            payload,
            rest: 0,
            held: Vec::new(),
        }
    }

    /// What of these bytes, and of those held back before them, passes.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Bytes {
        let joined;
        let mut bytes = bytes;
        if !self.held.is_empty() {
            joined = [&std::mem::take(&mut self.held), bytes].concat();
            bytes = &joined;
        }
        if bytes.len() as u64 <= self.rest {
            self.rest -= bytes.len() as u64;
            return Bytes::copy_from_slice(bytes);
        }
        let mut passed = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            let next = if self.rest > 0 {
                Next::Frame(0, self.rest)
            } else {
                self.look(bytes)
            };
            match next {
                Next::Frame(head, payload) => {
                    let here = payload.min((bytes.len() - head) as u64);
                    // No more than there are bytes.
                    let (now, later) = bytes.split_at(head + here as usize);
                    passed.extend_from_slice(now);
                    self.rest = payload - here;
                    bytes = later;
                }
                Next::Ours(len) => bytes = &bytes[len..],
                Next::Part => {
                    self.held = bytes.to_vec();
                    break;
                }
            }
        }
        passed.into()
    }

    /// What is held back, at the end of the stream.
    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    fn look(&self, bytes: &[u8]) -> Next {
        let (head, len) = match FrameHead::parse(bytes) {
            Ok(Some(found)) => found,
            Ok(None) => return Next::Part,
            Err(_) => return Next::Frame(0, u64::MAX),
        };
        let Some(key) = head.mask else {
            return Next::Frame(len, head.length);
        };
        if head.opcode != opcode::PONG || head.length != PING_BYTES as u64 {
            return Next::Frame(len, head.length);
        }
        let Some(payload) = bytes[len..].first_chunk::<PING_BYTES>() else {
            return Next::Part;
        };
        let mut payload = *payload;
        mask(&mut payload, key, 0);
        if payload == self.payload {
            Next::Ours(len + PING_BYTES)
        } else {
            Next::Frame(len, head.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    const OURS: [u8; PING_BYTES] = *b"our ping";

    fn frame(opcode: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let head = FrameHead {
            fin: true,
            rsv: 0,
            opcode,
            mask: key,
            length: payload.len() as u64,
        };
        let mut payload = payload.to_vec();
        if let Some(key) = key {
            mask(&mut payload, key, 0);
        }
        [&head.encode()[..], &payload].concat()
    }

    /// A frame, and whether it is one of our Pongs.
    fn any_frame() -> impl Strategy<Value = (Vec<u8>, bool)> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|key| (frame(opcode::PONG, Some(key), &OURS), true)),
            any::<[u8; 4]>().prop_map(|key| (frame(opcode::PING, Some(key), &OURS), false)),
            (any::<[u8; 4]>(), vec(any::<u8>(), 0..20))
                .prop_filter("it is ours", |(_, payload)| *payload != OURS)
                .prop_map(|(key, payload)| (frame(opcode::PONG, Some(key), &payload), false)),
            (0..16_u8, any::<[u8; 4]>(), 0..70_000_usize)
                .prop_filter("it is a Pong", |(opcode, ..)| *opcode != opcode::PONG)
                .prop_map(|(opcode, key, len)| (frame(opcode, Some(key), &vec![opcode; len]), false)),
        ]
    }

    proptest! {
        #[test]
        fn only_our_pongs_go_however_the_bytes_are_cut(frames in vec(any_frame(), 0..8), cuts in vec(any::<Index>(), 0..30)) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame).copied().collect();
            let expected: Vec<u8> =
                frames.iter().filter(|(_, is_ours)| !is_ours).flat_map(|(frame, _)| frame).copied().collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut filter = PongFilter::new(OURS);
            let mut passed = Vec::new();
            for pair in cuts.windows(2) {
                passed.extend(filter.pass(&bytes[pair[0]..pair[1]]));
                prop_assert!(filter.held.len() < FrameHead::MAX_LEN + PING_BYTES);
            }
            prop_assert!(filter.held.is_empty());
            prop_assert!(passed == expected, "{} bytes of {}", passed.len(), expected.len());
        }

        #[test]
        fn what_is_no_frames_passes_in_full(bytes in vec(any::<u8>(), 0..300), cut in any::<Index>()) {
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut filter = PongFilter::new([0; PING_BYTES]);
            let passed = [filter.pass(first), filter.pass(second), filter.finish()].concat();
            // Chance makes no Pong of ours of so few bytes, but for zeros.
            prop_assume!(!bytes.windows(2).any(|pair| pair == [0x8a, 0x88]));
            prop_assert_eq!(passed, bytes);
        }
    }

    #[test]
    fn a_pong_that_is_not_like_ours_is_not_held_back() {
        let mut filter = PongFilter::new(OURS);
        let longer = frame(opcode::PONG, Some([1; 4]), b"our ping, but longer");
        assert_eq!(filter.pass(&longer[..8]), &longer[..8]);
        let bare = frame(opcode::PONG, None, &OURS);
        let mut filter = PongFilter::new(OURS);
        assert_eq!(filter.pass(&bare), bare, "it is for the server to complain");
    }
}
