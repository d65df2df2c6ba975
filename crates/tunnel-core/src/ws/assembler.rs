//! Pieces of frames, as they travel.

use std::fmt;

use bytes::Bytes;

/// The longest payload, in bytes.
const MAX_LENGTH: u64 = u64::MAX >> 1;

/// One frame, or a piece of one that was not there in full, or is larger than a chunk.
#[derive(Clone, PartialEq, Eq)]
pub struct WsFrame {
    /// Whether this is the last frame of its WebSocket message; the same in every piece of a frame.
    pub fin: bool,
    /// The reserved bits, 0 to 7; the same in every piece of a frame.
    pub rsv: u8,
    /// The opcode, 0 to 15; the same in every piece of a frame.
    pub opcode: u8,
    /// Whether another piece of the same frame follows.
    pub more: bool,
    /// The bytes of the whole frame's payload, in the first piece of a frame that has `more`; else 0.
    pub length: u64,
    /// The payload without its mask; empty only if the frame is.
    pub data: Bytes,
}

impl WsFrame {
    /// A whole frame.
    #[must_use]
    pub const fn whole(fin: bool, opcode: u8, data: Bytes) -> Self {
        Self {
            fin,
            rsv: 0,
            opcode,
            more: false,
            length: 0,
            data,
        }
    }

    const fn kind(&self) -> (bool, u8, u8) {
        (self.fin, self.rsv, self.opcode)
    }
}

impl fmt::Debug for WsFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsFrame")
            .field("fin", &self.fin)
            .field("rsv", &self.rsv)
            .field("opcode", &self.opcode)
            .field("len", &self.data.len())
            .field("length", &self.length)
            .field("more", &self.more)
            .finish()
    }
}

/// Checks that pieces add up to frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Assembler {
    /// What the pieces of the frame have in common that has begun, and how many bytes of it are still to come.
    frame: Option<((bool, u8, u8), u64)>,
}

impl Assembler {
    /// Takes the next piece, and says whether it begins a frame. An error says which rule the piece breaks.
    pub(crate) fn check(&mut self, piece: &WsFrame) -> Result<(), &'static str> {
        let len = piece.data.len() as u64;
        let rest = match self.frame {
            None if !piece.more && piece.length == 0 => return Ok(()),
            None if piece.more && len > 0 && (len + 1..=MAX_LENGTH).contains(&piece.length) => {
                piece.length - len
            }
            None => return Err("the first piece of a frame has not the length of what follows"),
            Some((kind, _)) if kind != piece.kind() => {
                return Err("a piece of a frame belongs to another one");
            }
            Some((_, rest)) if len == 0 || len > rest || piece.length != 0 || piece.more == (len == rest) => {
                return Err("the pieces of a frame do not add up to its length");
            }
            Some((_, rest)) => rest - len,
        };
        self.frame = (rest > 0).then(|| (piece.kind(), rest));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(len: usize, length: u64, more: bool) -> WsFrame {
        WsFrame {
            more,
            length,
            ..WsFrame::whole(true, 2, vec![0; len].into())
        }
    }

    #[test]
    fn pieces_that_add_up() {
        let mut assembler = Assembler::default();
        for piece in [
            piece(0, 0, false),
            piece(9, 0, false),
            piece(3, 6, true),
            piece(2, 0, true),
            piece(1, 0, false),
            piece(0, 0, false),
            piece(1, MAX_LENGTH, true),
        ] {
            assert_eq!(assembler.check(&piece), Ok(()), "{piece:?}");
        }
    }

    #[test]
    fn first_pieces_that_are_none() {
        for piece in [
            piece(3, 3, false),
            piece(3, 0, true),
            piece(3, 3, true),
            piece(0, 3, true),
            piece(1, MAX_LENGTH + 1, true),
        ] {
            assert!(Assembler::default().check(&piece).is_err(), "{piece:?}");
        }
    }

    #[test]
    fn later_pieces_that_do_not_add_up() {
        let other = |change: fn(&mut WsFrame)| {
            let mut piece = piece(2, 0, true);
            change(&mut piece);
            piece
        };
        for piece in [
            piece(0, 0, true),
            piece(2, 0, false),
            piece(3, 0, true),
            piece(4, 0, false),
            piece(4, 0, true),
            piece(2, 2, true),
            other(|piece| piece.fin = false),
            other(|piece| piece.opcode = 1),
            other(|piece| piece.rsv = 4),
        ] {
            let mut assembler = Assembler::default();
            assembler.check(&self::piece(3, 6, true)).unwrap();
            assert!(assembler.check(&piece).is_err(), "{piece:?}");
        }
    }
}
