//! What waits to be written.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// What is asked of the body while so much waits, in bytes: nothing.
pub(super) const QUEUE_BYTES: usize = 16 * 1024;

/// Pieces below this, in bytes, are joined when several of them wait: a copy costs less than a write.
const SMALL_BYTES: usize = 4 * 1024;

/// Pieces in their order. It holds no memory while it is empty.
#[derive(Default)]
pub(super) struct Queue {
    front: Bytes,
    rest: VecDeque<Bytes>,
    len: usize,
}

impl Queue {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if self.front.is_empty() {
            self.front = bytes;
        } else if !bytes.is_empty() {
            self.rest.push_back(bytes);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What is to be written next; nothing if there is nothing.
    pub(super) fn next(&mut self) -> &[u8] {
        if self.front.len() < SMALL_BYTES && self.fits(self.front.len()) {
            self.join();
        }
        &self.front
    }

    /// Whether the next piece may be joined to so many bytes.
    fn fits(&self, joined: usize) -> bool {
        let next = self.rest.front();
        next.is_some_and(|next| joined + next.len() <= QUEUE_BYTES)
    }

    fn join(&mut self) {
        let mut joined = BytesMut::with_capacity(self.len.min(QUEUE_BYTES));
        joined.extend_from_slice(&self.front);
        while self.fits(joined.len())
            && let Some(piece) = self.rest.pop_front()
        {
            joined.extend_from_slice(&piece);
        }
        self.front = joined.freeze();
    }

    /// Forgets the first `len` bytes, which are written. They are of what [`next`](Self::next) gave.
    pub(super) fn advance(&mut self, len: usize) {
        drop(self.front.split_to(len));
        self.len -= len;
        if self.front.is_empty() {
            self.front = self.rest.pop_front().unwrap_or_default();
        }
        if self.len == 0 {
            *self = Self::default();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
