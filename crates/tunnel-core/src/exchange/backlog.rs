//! What of a body has arrived and was not read.

use bytes::{Bytes, BytesMut};

use crate::{fifo::Fifo, lane::SMALL_MESSAGE, message::MESSAGE_COST};

/// The pieces of a body, in their order.
///
/// A piece of a few bytes holds all of the frame of HTTP/2 that it came in. So one that would wait behind another one is added to that
/// while the whole stays small, as in a lane; and tiny ones that follow others are copied when they are given away, since whoever
/// takes them may not have written the others yet, and hold as many frames. The first one, which is the whole of most bodies, never is.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pieces: Fifo<Piece>,
    has_given: bool,
}

/// Copying less than this costs no more than the memory for it.
const TINY: usize = 1024;

#[derive(Debug)]
enum Piece {
    /// As it came.
    One(Bytes),
    /// Of several messages.
    Joined(Box<Joined>),
}

#[derive(Debug)]
struct Joined {
    bytes: BytesMut,
    messages: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// Adds the piece of a message.
    pub(super) fn push(&mut self, bytes: Bytes) {
        let last = self.pieces.last_mut();
        match last.filter(|last| last.len() + bytes.len() <= SMALL_MESSAGE) {
            Some(last) => last.add(&bytes),
            None => self.pieces.push(Piece::One(bytes)),
        }
    }

    /// The next piece, and what its messages cost.
    pub(super) fn pop(&mut self) -> Option<(Bytes, usize)> {
        let (bytes, messages) = match self.pieces.pop()? {
            Piece::One(bytes) if self.has_given && bytes.len() < TINY => (Bytes::copy_from_slice(&bytes), 1),
            Piece::One(bytes) => (bytes, 1),
            Piece::Joined(joined) => (joined.bytes.freeze(), joined.messages),
        };
        self.has_given = true;
        let cost = bytes.len() + messages * MESSAGE_COST;
        Some((bytes, cost))
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Joined(joined) => joined.bytes.len(),
        }
    }

    fn add(&mut self, more: &[u8]) {
        match self {
            Self::One(first) => {
                let mut bytes = BytesMut::with_capacity(first.len() + more.len());
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(more);
                *self = Self::Joined(Box::new(Joined { bytes, messages: 2 }));
            }
            Self::Joined(joined) => {
                joined.bytes.extend_from_slice(more);
                joined.messages += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_that_wait_become_one_and_large_ones_stay() {
        let mut backlog = Backlog::default();
        let large = Bytes::from(vec![b'l'; SMALL_MESSAGE]);
        backlog.push(large.clone());
        for byte in ["a", "b", "c"] {
            backlog.push(byte.into());
        }
        backlog.push(large.clone());
        let (first, cost) = backlog.pop().unwrap();
        assert_eq!(
            (first.as_ptr(), cost),
            (large.as_ptr(), SMALL_MESSAGE + MESSAGE_COST),
            "nothing is copied"
        );
        assert_eq!(backlog.pop(), Some(("abc".into(), 3 + 3 * MESSAGE_COST)));
        assert_eq!(backlog.pop().map(|(bytes, _)| bytes), Some(large));
        assert!(backlog.is_empty() && backlog.pop().is_none());
    }

    #[test]
    fn the_first_piece_and_large_ones_are_given_as_they_came() {
        let mut backlog = Backlog::default();
        for (len, is_copied) in [(1, false), (1, true), (TINY - 1, true), (TINY, false), (1, true)] {
            let piece = Bytes::from(vec![7; len]);
            backlog.push(piece.clone());
            let (given, cost) = backlog.pop().unwrap();
            assert_eq!((&given, cost), (&piece, len + MESSAGE_COST));
            assert_eq!(given.as_ptr() != piece.as_ptr(), is_copied, "{len}");
        }
    }

    #[test]
    fn nothing_joined_is_larger_than_the_bound() {
        let mut backlog = Backlog::default();
        let (mut pushed, mut popped) = (0, 0);
        for len in (1..700).cycle().take(2_000) {
            pushed += len + MESSAGE_COST;
            backlog.push(Bytes::from(vec![0; len]));
        }
        while let Some((bytes, cost)) = backlog.pop() {
            assert!(bytes.len() <= SMALL_MESSAGE);
            popped += cost;
        }
        assert_eq!(popped, pushed);
    }
}
