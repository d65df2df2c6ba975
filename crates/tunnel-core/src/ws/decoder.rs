//! From raw bytes to pieces of frames.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{FrameError, FrameHead, HeadReader, WsFrame, mask};

/// Cuts the raw bytes of one direction into pieces of frames, without their masks.
///
/// Bytes that come masked are unmasked where they are if nobody else holds them, else in one copy of each
/// [`push`](Self::push); pieces are slices of them.
#[derive(Debug)]
pub(crate) struct Decoder {
    raw: Raw,
    head: HeadReader,
    frame: Option<Begun>,
}

/// What was pushed and not taken.
#[derive(Debug)]
enum Raw {
    /// From a client.
    Masked(BytesMut),
    /// From a server.
    Plain(Bytes),
}

/// A frame whose head has been read.
#[derive(Clone, Copy, Debug)]
struct Begun {
    head: FrameHead,
    /// Bytes of its payload that were given.
    given: u64,
}

impl Decoder {
    /// For the frames of a client, which must be masked, or of a server, which must not.
    pub(crate) fn new(is_client: bool) -> Self {
        Self {
            raw: if is_client {
                Raw::Masked(BytesMut::new())
            } else {
                Raw::Plain(Bytes::new())
            },
            head: HeadReader::default(),
            frame: None,
        }
    }

    /// Takes more bytes, when [`next_len`](Self::next_len) has nothing more.
    pub(crate) fn push(&mut self, more: Bytes) {
        match &mut self.raw {
            Raw::Masked(raw) if raw.is_empty() => {
                *raw = more
                    .try_into_mut()
                    .unwrap_or_else(|shared| BytesMut::from(&*shared));
            }
            Raw::Plain(raw) if raw.is_empty() => *raw = more,
            Raw::Masked(raw) => raw.extend_from_slice(&more),
            Raw::Plain(raw) => *raw = [&**raw, &*more].concat().into(),
        }
    }

    /// The payload bytes that are there of the next piece; 0 for a frame without a payload. `None` when there is no piece
    /// before more bytes come: all that were there have been read then.
    ///
    /// # Errors
    ///
    /// The bytes are no frames, or their mask is not as it must be.
    pub(crate) fn next_len(&mut self) -> Result<Option<usize>, FrameError> {
        let frame = match self.frame {
            Some(frame) => frame,
            None => match self.read_head()? {
                Some(head) => *self.frame.insert(Begun { head, given: 0 }),
                None => return Ok(None),
            },
        };
        let (there, rest) = (self.raw.bytes().len(), frame.head.length - frame.given);
        if there == 0 && rest > 0 {
            return Ok(None);
        }
        Ok(Some(usize::try_from(rest).map_or(there, |rest| rest.min(there))))
    }

    fn read_head(&mut self) -> Result<Option<FrameHead>, FrameError> {
        let (len, head) = self.head.read(self.raw.bytes())?;
        self.raw.advance(len);
        let Some(head) = head else { return Ok(None) };
        match (&self.raw, head.mask) {
            (Raw::Masked(_), None) => Err(FrameError::Unmasked),
            (Raw::Plain(_), Some(_)) => Err(FrameError::Masked),
            _ => Ok(Some(head)),
        }
    }

    /// The next piece, with `len` bytes of payload: at most as many as [`next_len`](Self::next_len) said, and more than none if
    /// that did. `None` when it said that there is no piece.
    pub(crate) fn take(&mut self, len: usize) -> Option<WsFrame> {
        let Begun { head, given } = self.frame?;
        let data = self.raw.take(len, head.mask.unwrap_or_default(), given);
        let given = given + data.len() as u64;
        let more = given < head.length;
        let is_first = given == data.len() as u64;
        self.frame = more.then_some(Begun { head, given });
        Some(WsFrame {
            fin: head.fin,
            rsv: head.rsv,
            opcode: head.opcode,
            more,
            length: if more && is_first { head.length } else { 0 },
            data,
        })
    }
}

impl Raw {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Masked(raw) => raw,
            Self::Plain(raw) => raw,
        }
    }

    fn advance(&mut self, len: usize) {
        match self {
            Self::Masked(raw) => raw.advance(len),
            Self::Plain(raw) => raw.advance(len),
        }
    }

    /// Takes at most `len` bytes of payload, whose first stands at `at` of its frame. Nothing stays allocated when all is taken.
    fn take(&mut self, len: usize, key: [u8; 4], at: u64) -> Bytes {
        match self {
            Self::Plain(raw) => raw.split_to(len.min(raw.len())),
            Self::Masked(raw) => {
                let mut data = if len >= raw.len() {
                    std::mem::take(raw)
                } else {
                    raw.split_to(len)
                };
                mask(&mut data, key, at);
                data.freeze()
            }
        }
    }
}
