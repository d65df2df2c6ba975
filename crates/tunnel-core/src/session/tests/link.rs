//! One lane of a pair: what is written, what is on the wire, and what was seen there.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::runtime::Flag;
use crate::{
    id::RequestId,
    lane::Lane,
    message::{Payload, TunnelMessage},
    reason::ResetReason,
};

/// What went over the wire, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Request { len: usize, end: bool },
    Response { len: usize, end: bool },
    Data { len: usize, end: bool },
    Frame { len: usize, more: bool },
    Window(u32),
    Reset(ResetReason),
    Signal,
}

impl Note {
    fn of(payload: &Payload) -> Self {
        let len = payload.data_len();
        match payload {
            Payload::Request(start) => Self::Request {
                len,
                end: start.end.is_some(),
            },
            Payload::Response(start) => Self::Response {
                len,
                end: start.end.is_some(),
            },
            Payload::Data(data) => Self::Data {
                len,
                end: data.end.is_some(),
            },
            Payload::Frame(frame) => Self::Frame {
                len,
                more: frame.more,
            },
            Payload::Window(bytes) => Self::Window(*bytes),
            Payload::Reset(reset) => Self::Reset(reset.reason),
            Payload::Ping(_) | Payload::Pong(_) => Self::Signal,
        }
    }
}

/// One direction of a lane: the writer at one end, the wire, and the reader at the other.
pub(crate) struct Way {
    /// The lane at the end that writes.
    pub(crate) lane: Lane,
    writer: Arc<Flag>,
    is_ready: bool,
    pub(crate) wire: VecDeque<TunnelMessage>,
    /// Messages that the writer may still write.
    pub(crate) writes: usize,
    /// Messages that the reader may still take off the wire.
    pub(crate) delivers: usize,
    pub(crate) log: Vec<(RequestId, Note)>,
}

impl Way {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            writer: Flag::new(),
            is_ready: false,
            wire: VecDeque::new(),
            writes: usize::MAX,
            delivers: usize::MAX,
            log: Vec::new(),
        }
    }

    /// Lets the writer write; it polls the lane only if it was woken, or has not seen it empty.
    pub(super) fn write(&mut self) -> bool {
        self.is_ready |= self.writer.take();
        let waker = Waker::from(self.writer.clone());
        let mut any = false;
        while self.is_ready && self.writes > 0 {
            match self.lane.poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(message)) => {
                    self.writes -= usize::from(self.writes < usize::MAX);
                    self.log.push((message.id, Note::of(&message.payload)));
                    self.wire.push_back(message);
                    any = true;
                }
                Poll::Ready(None) | Poll::Pending => self.is_ready = false,
            }
        }
        any
    }

    pub(super) fn take(&mut self) -> Option<TunnelMessage> {
        if self.delivers == 0 {
            return None;
        }
        let message = self.wire.pop_front()?;
        self.delivers -= usize::from(self.delivers < usize::MAX);
        Some(message)
    }

    pub(crate) fn hold_writer(&mut self) {
        self.writes = 0;
    }

    pub(crate) fn hold_wire(&mut self) {
        self.delivers = 0;
    }

    pub(crate) fn release(&mut self) {
        (self.writes, self.delivers) = (usize::MAX, usize::MAX);
    }

    /// What was written since the last call.
    pub(crate) fn notes(&mut self) -> Vec<Note> {
        self.log.drain(..).map(|(_, note)| note).collect()
    }

    /// What was written of one exchange.
    pub(crate) fn notes_of(&self, id: RequestId) -> Vec<Note> {
        self.log
            .iter()
            .filter(|(other, _)| *other == id)
            .map(|(_, note)| *note)
            .collect()
    }
}

/// One lane, both directions.
pub(crate) struct Link {
    /// From the gateway to the agent.
    pub(crate) down: Way,
    /// From the agent to the gateway.
    pub(crate) up: Way,
}
