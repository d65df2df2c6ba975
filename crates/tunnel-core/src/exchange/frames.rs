//! Frames of WebSocket that have arrived.

use std::collections::VecDeque;

use crate::{
    message::MESSAGE_COST,
    ws::{Assembler, Encoder, WsFrame},
};

/// What an empty queue keeps allocated, in pieces: an idle WebSocket shall cost little.
const KEPT: usize = 16;

/// Pieces of frames that nobody has read.
#[derive(Debug, Default)]
pub(super) struct Frames {
    assembler: Assembler,
    queue: VecDeque<WsFrame>,
}

impl Frames {
    /// Checks that a piece goes on where the last one ended.
    pub(super) fn check(&mut self, piece: &WsFrame) -> Result<(), &'static str> {
        self.assembler.check(piece)
    }

    pub(super) fn push(&mut self, piece: WsFrame) {
        self.queue.push_back(piece);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.queue = VecDeque::new();
    }

    /// Moves as many pieces as belong together, and says what they had cost: 0 if there were none.
    pub(super) fn drain(&mut self, encoder: &mut Encoder, random: impl Fn() -> [u8; 16]) -> usize {
        if self.queue.len() > 1 {
            encoder.reserve(self.queue.iter().map(|piece| piece.data.len()));
        }
        let mut cost = 0;
        let fits = |piece: &WsFrame, encoder: &Encoder| encoder.has_room(piece.data.len());
        while self.queue.front().is_some_and(|piece| fits(piece, encoder))
            && let Some(piece) = self.queue.pop_front()
        {
            cost += piece.data.len() + MESSAGE_COST;
            encoder.push(piece, &random);
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT {
            self.clear();
        }
        cost
    }
}
