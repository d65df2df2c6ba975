//! What of a body has arrived and was not read.

use bytes::{Bytes, BytesMut};

use crate::{fifo::Fifo, lane::SMALL_MESSAGE, message::MESSAGE_COST};

/// The pieces of a body, in their order.
///
/// A piece that would wait behind another one is added to that while the whole stays small, as in a lane. Each by itself would hold all of the frame of HTTP/2 that it
/// came in, and the consumer would be given them one by one.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pieces: Fifo<Piece>,
}

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
            Piece::One(bytes) => (bytes, 1),
            Piece::Joined(joined) => (joined.bytes.freeze(), joined.messages),
        };
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
    fn a_piece_that_is_read_in_time_is_not_copied() {
        let mut backlog = Backlog::default();
        for _ in 0..3 {
            let byte = Bytes::from(vec![1]);
            backlog.push(byte.clone());
            assert_eq!(
                backlog.pop().map(|(piece, _)| piece.as_ptr()),
                Some(byte.as_ptr())
            );
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
