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
