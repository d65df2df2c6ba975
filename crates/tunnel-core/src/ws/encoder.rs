//! From pieces of frames to raw bytes.

use bytes::{Bytes, BytesMut};

use super::{FrameHead, WsFrame, mask};

/// Smaller pieces are copied together.
const SMALL_PIECE: usize = 4 * 1024;
/// The most bytes that are copied together.
const GATHERED: usize = 16 * 1024;

/// Writes pieces of frames back to raw bytes: masked with a fresh key for each frame, as a client must, or as they are.
///
/// Small pieces that wait together come out as one; large ones are not copied if they need no mask, or nobody else holds them.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Where keys come from; `None` toward a client.
    keys: Option<Keys>,
    frame: Option<Begun>,
    gathered: BytesMut,
    /// A large piece, behind what is gathered.
    large: Option<(Bytes, [u8; 4], u64)>,
}

/// Four keys at a time, because a runtime gives 16 random bytes.
#[derive(Debug, Default)]
struct Keys {
    random: [u8; 16],
    left: u8,
}

/// A frame of which more pieces are to come.
#[derive(Clone, Copy, Debug)]
struct Begun {
    key: [u8; 4],
    given: u64,
}

impl Keys {
    fn next(&mut self, random: impl FnOnce() -> [u8; 16]) -> [u8; 4] {
        if self.left == 0 {
            (self.random, self.left) = (random(), 4);
        }
        self.left -= 1;
        let (keys, _) = self.random.as_chunks::<4>();
        keys[usize::from(self.left)]
    }
}

impl Encoder {
    /// For frames that go to a server, and so must be masked, or to a client.
    pub(crate) fn new(to_server: bool) -> Self {
        Self {
            keys: to_server.then(Keys::default),
            frame: None,
            gathered: BytesMut::new(),
            large: None,
        }
    }

    /// Whether another piece with `len` bytes may be pushed before what is here is taken. One always may if nothing is here.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        let copied = FrameHead::MAX_LEN + if len < SMALL_PIECE { len } else { 0 };
        self.large.is_none() && (self.gathered.is_empty() || self.gathered.len() + copied <= GATHERED)
    }

    /// Makes room for pieces of these lengths, as far as they will be copied together.
    pub(crate) fn reserve(&mut self, lens: impl Iterator<Item = usize>) {
        let mut room = 0;
        for len in lens {
            if len >= SMALL_PIECE || room >= GATHERED {
                break;
            }
            room += FrameHead::MAX_LEN + len;
        }
        self.gathered.reserve(room.min(GATHERED));
    }

    /// Takes the next piece. `random` is asked for 16 bytes that nobody can guess.
    pub(crate) fn push(&mut self, piece: WsFrame, random: impl FnOnce() -> [u8; 16]) {
        let WsFrame {
            fin,
            rsv,
            opcode,
            more,
            length,
            data,
        } = piece;
        let Begun { key, given } = match self.frame {
            Some(frame) => frame,
            None => {
                let key = self.keys.as_mut().map(|keys| keys.next(random));
                let head = FrameHead {
                    fin,
                    rsv,
                    opcode,
                    mask: key,
                    length: if more { length } else { data.len() as u64 },
                };
                let head = head.encode();
                if self.gathered.is_empty() {
                    // A piece that comes alone gets just the room that it needs.
                    let copied = if data.len() < SMALL_PIECE { data.len() } else { 0 };
                    self.gathered.reserve(head.len() + copied);
                }
                self.gathered.extend_from_slice(&head);
                Begun {
                    key: key.unwrap_or_default(),
                    given: 0,
                }
            }
        };
        let len = data.len();
        if len < SMALL_PIECE {
            self.gather(&data, key, given);
        } else {
            self.large = Some((data, key, given));
        }
        self.frame = more.then_some(Begun {
            key,
            given: given + len as u64,
        });
    }

    fn gather(&mut self, data: &[u8], key: [u8; 4], at: u64) {
        let from = self.gathered.len();
        self.gathered.extend_from_slice(data);
        if self.keys.is_some() {
            mask(&mut self.gathered[from..], key, at);
        }
    }

    /// Raw bytes, as many as belong together, if there are any.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let Some((data, key, at)) = self.large.take() else {
            return self.gathered();
        };
        if self.keys.is_none() {
            if self.gathered.is_empty() {
                return Some(data);
            }
            self.large = Some((data, key, at));
            return self.gathered();
        }
        match data.try_into_mut() {
            Ok(mut data) if self.gathered.is_empty() => {
                mask(&mut data, key, at);
                Some(data.freeze())
            }
            Ok(data) => {
                self.large = Some((data.freeze(), key, at));
                self.gathered()
            }
            // It must be copied in any case, so it may as well be copied behind the head.
            Err(data) => {
                self.gathered.reserve(data.len());
                self.gather(&data, key, at);
                self.gathered()
            }
        }
    }

    fn gathered(&mut self) -> Option<Bytes> {
        (!self.gathered.is_empty()).then(|| std::mem::take(&mut self.gathered).freeze())
    }

    /// Whether [`next`](Self::next) has nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.large.is_none()
    }
}
