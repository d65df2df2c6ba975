//! The frames of a server on their way to its client, and what is put between them.

use bytes::Bytes;

use super::{
    close::{Close, frame},
    queue::Queue,
};
use crate::{
    upgrade::pong::PING_BYTES,
    ws::{Tracker, opcode},
};

/// Follows a server's frames, and puts a Close or a Ping of our own between two of them: never inside one, never behind a Close.
#[derive(Debug)]
pub(super) struct Frames {
    tracker: Tracker,
    /// The bytes are no frames: nothing is put between them.
    broken: bool,
    wanted: Option<Close>,
    closed: bool,
    ping: Ping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    No,
    Wanted([u8; PING_BYTES]),
    Queued,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            tracker: Tracker::new(),
            broken: false,
            wanted: None,
            closed: false,
            ping: Ping::No,
        }
    }

    /// Whether our own Close is queued: what the server still sends is not for the client.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a Ping of ours was queued since this was asked the last time.
    pub(super) fn take_pinged(&mut self) -> bool {
        let pinged = self.ping == Ping::Queued;
        if pinged {
            self.ping = Ping::No;
        }
        pinged
    }

    /// Whether a Ping waits for its place.
    pub(super) const fn waits_to_ping(&self) -> bool {
        matches!(self.ping, Ping::Wanted(_))
    }

    /// Puts this Close where the next frame would begin. It is the server's Close that counts if that comes first.
    pub(super) fn close(&mut self, close: Close, queue: &mut Queue) {
        self.wanted.get_or_insert(close);
        self.put(queue);
    }

    /// Puts this Close here, and says whether there is a place for it: no frame is incomplete, and no Close has passed.
    pub(super) fn close_now(&mut self, close: Close, queue: &mut Queue) -> bool {
        self.wanted = Some(close);
        self.put(queue);
        self.closed
    }

    /// Puts a Ping where the next frame would begin.
    pub(super) fn ping(&mut self, payload: [u8; PING_BYTES], queue: &mut Queue) {
        self.ping = Ping::Wanted(payload);
        self.put(queue);
    }

    /// Queues bytes of the server.
    pub(super) fn push(&mut self, mut piece: Bytes, queue: &mut Queue) {
        while !self.closed && !piece.is_empty() {
            let passes = if self.wanted.is_some() || self.waits_to_ping() {
                self.next_border(&piece)
            } else {
                self.broken |= self.tracker.follow(&piece).is_err();
                piece.len()
            };
            queue.push(piece.split_to(passes));
            self.put(queue);
        }
    }

    /// How many of these bytes come before a place for something of ours, all of them if there is none.
    fn next_border(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while !self.broken && at < bytes.len() {
            match self.tracker.step(&bytes[at..]) {
                Ok(Some(step)) => at += step.len,
                Ok(None) => break,
                Err(_) => self.broken = true,
            }
            if self.tracker.is_at_border() {
                return at;
            }
        }
        bytes.len()
    }

    /// Puts what is wanted, if it may stand here.
    fn put(&mut self, queue: &mut Queue) {
        let has_place =
            !self.broken && !self.closed && self.tracker.is_at_border() && !self.tracker.has_close();
        if !has_place {
            return;
        }
        if let Some(close) = self.wanted.take() {
            queue.push(close.frame());
            self.closed = true;
        } else if let Ping::Wanted(payload) = self.ping {
            queue.push(frame(opcode::PING, &payload));
            self.ping = Ping::Queued;
        }
    }
}
