//! What waits to be written, and what goes next.

#[cfg(test)]
mod check;

use std::{
    collections::{VecDeque, hash_map::Entry},
    sync::Arc,
    task::Waker,
};

use super::{
    MAX_BULK_BYTES, MAX_SIGNALS, MAX_SMALL_BYTES, SMALL_BURST, SMALL_MESSAGE,
    join::join,
    waiters::{WaiterId, Waiters},
};
use crate::{
    exchange::{Exchange, Place},
    fifo::Fifo,
    id::RequestId,
    id_map::IdMap,
    message::{End, MESSAGE_COST, Payload, Reset, TunnelMessage},
};

/// Whether a message is small or bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Small,
    Bulk,
}

impl Class {
    pub(crate) fn of(payload: &Payload) -> Self {
        if payload.data_len() <= SMALL_MESSAGE {
            Self::Small
        } else {
            Self::Bulk
        }
    }
}

/// What a message weighs in the queue, in bytes: its body, its headers, its trailers and [`MESSAGE_COST`].
pub(crate) fn weight(payload: &Payload) -> usize {
    let head = match payload {
        Payload::Request(start) => start.head.byte_len(),
        Payload::Response(start) => start.head.byte_len(),
        _ => 0,
    };
    weight_with(payload, head)
}

/// The [`weight`] of a message whose head is known to have so many bytes.
pub(crate) fn weight_with(payload: &Payload, head: usize) -> usize {
    let end = match payload {
        Payload::Request(start) => &start.end,
        Payload::Response(start) => &start.end,
        Payload::Data(data) => &data.end,
        Payload::Frame(_) | Payload::Window(_) | Payload::Reset(_) | Payload::Ping(_) | Payload::Pong(_) => {
            &None
        }
    };
    let trailers = end.as_ref().map_or(0, trailers_len);
    payload.data_len() + head + trailers + MESSAGE_COST
}

fn trailers_len(end: &End) -> usize {
    let fields = end.trailers.iter().flat_map(|fields| fields.iter());
    fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// One message on its way to the writer, and what its leaving sets free.
pub(super) struct Popped {
    pub(super) message: TunnelMessage,
    pub(super) waiter: Option<Waker>,
    pub(super) place: Option<Place>,
}

#[derive(Default)]
pub(super) struct Queue {
    signals: VecDeque<TunnelMessage>,
    refusals: VecDeque<TunnelMessage>,
    exchanges: IdMap<Pending>,
    /// The exchanges that have a window update or a reset pending.
    control: VecDeque<RequestId>,
    small: Line,
    bulk: Line,
    small_run: u32,
}

/// The exchanges whose first message is of one class, what all messages of that class weigh, and who waits for room.
#[derive(Default)]
struct Line {
    turns: VecDeque<RequestId>,
    bytes: usize,
    waiters: Waiters,
}

/// A message, and what it weighs.
struct Queued {
    message: TunnelMessage,
    weight: usize,
}

impl Queued {
    fn class(&self) -> Class {
        Class::of(&self.message.payload)
    }
}

/// What one exchange has queued.
struct Pending {
    exchange: Arc<Exchange>,
    messages: Fifo<Queued>,
    window: u32,
    reset: Option<(Reset, Option<Place>)>,
}

impl Pending {
    fn new(exchange: &Arc<Exchange>) -> Self {
        Self {
            exchange: exchange.clone(),
            messages: Fifo::default(),
            window: 0,
            reset: None,
        }
    }

    fn has_control(&self) -> bool {
        self.window > 0 || self.reset.is_some()
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && !self.has_control()
    }
}

impl Queue {
    pub(super) fn bytes(&self) -> usize {
        self.small.bytes + self.bulk.bytes
    }

    /// Whether the writer has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.signals.is_empty() && self.refusals.is_empty() && self.exchanges.is_empty()
    }

    pub(super) fn push_signal(&mut self, message: TunnelMessage) {
        if self.signals.len() < MAX_SIGNALS {
            self.signals.push_back(message);
        }
    }

    pub(super) fn push_refusal(&mut self, message: TunnelMessage, limit: usize) -> bool {
        let has_room = self.refusals.len() < limit;
        if has_room {
            self.refusals.push_back(message);
        }
        has_room
    }

    fn line(&mut self, class: Class) -> (&mut Line, usize) {
        match class {
            Class::Small => (&mut self.small, MAX_SMALL_BYTES),
            Class::Bulk => (&mut self.bulk, MAX_BULK_BYTES),
        }
    }

    /// Whether a message may be queued now by the one at `place` in the line, or by somebody new.
    pub(super) fn has_room(&mut self, class: Class, weight: usize, place: Option<WaiterId>) -> bool {
        let (line, limit) = self.line(class);
        !line.waiters.is_behind(place) && (line.bytes == 0 || line.bytes + weight <= limit)
    }

    pub(super) fn wait(&mut self, class: Class, place: Option<WaiterId>, waker: &Waker) -> WaiterId {
        self.line(class).0.waiters.wait(place, waker)
    }

    /// Leaves the line, and says whom to wake now.
    pub(super) fn leave(&mut self, class: Class, place: Option<WaiterId>) -> Option<Waker> {
        let (line, limit) = self.line(class);
        line.waiters.leave(place?);
        if line.bytes < limit {
            line.waiters.first()
        } else {
            None
        }
    }

    pub(super) fn take_waiters(&mut self) -> Vec<Waker> {
        self.small
            .waiters
            .take()
            .chain(self.bulk.waiters.take())
            .collect()
    }

    /// Queues a message, and says what credit came back because it was joined to the one before it.
    pub(super) fn push(
        &mut self,
        exchange: &Arc<Exchange>,
        (class, weight): (Class, usize),
        mut message: TunnelMessage,
        max_chunk: usize,
    ) -> usize {
        let pending = self
            .exchanges
            .entry(exchange.id())
            .or_insert_with(|| Pending::new(exchange));
        if let (Some(last), Payload::Data(data)) = (pending.messages.last_mut(), &mut message.payload) {
            let class = last.class();
            if let Some(refund) = join(&mut last.message.payload, data, max_chunk) {
                last.weight += weight - MESSAGE_COST;
                self.line(class).0.bytes += weight - MESSAGE_COST;
                return refund;
            }
        }
        let is_first = pending.messages.is_empty();
        pending.messages.push(Queued { message, weight });
        let line = self.line(class).0;
        line.bytes += weight;
        if is_first {
            line.turns.push_back(exchange.id());
        }
        0
    }

    pub(super) fn window(&mut self, exchange: &Arc<Exchange>, bytes: u32) {
        let pending = self
            .exchanges
            .entry(exchange.id())
            .or_insert_with(|| Pending::new(exchange));
        if pending.reset.is_some() {
            return;
        }
        if !pending.has_control() {
            self.control.push_back(exchange.id());
        }
        pending.window = pending.window.saturating_add(bytes);
    }

    pub(super) fn reset(&mut self, exchange: &Arc<Exchange>, reset: Reset, place: Option<Place>) {
        let pending = self
            .exchanges
            .entry(exchange.id())
            .or_insert_with(|| Pending::new(exchange));
        if !pending.has_control() {
            self.control.push_back(exchange.id());
        }
        pending.window = 0;
        pending.reset = Some((reset, place));
    }

    /// Drops all that an exchange has queued, and says whom to wake because there is room now.
    pub(super) fn discard(&mut self, id: RequestId) -> [Option<Waker>; 2] {
        let Some(pending) = self.exchanges.remove(&id) else {
            return [None, None];
        };
        if pending.has_control() {
            self.control.retain(|other| *other != id);
        }
        if let Some(first) = pending.messages.first() {
            self.line(first.class()).0.turns.retain(|other| *other != id);
        }
        for queued in pending.messages.iter() {
            self.line(queued.class()).0.bytes -= queued.weight;
        }
        [Class::Small, Class::Bulk].map(|class| {
            let (line, limit) = self.line(class);
            if line.bytes < limit {
                line.waiters.first()
            } else {
                None
            }
        })
    }

    pub(super) fn pop(&mut self) -> Option<Popped> {
        if let Some(message) = self.signals.pop_front().or_else(|| self.refusals.pop_front()) {
            return Some(Popped {
                message,
                waiter: None,
                place: None,
            });
        }
        self.pop_control().or_else(|| self.pop_message())
    }

    fn pop_control(&mut self) -> Option<Popped> {
        let id = self.control.pop_front()?;
        let Entry::Occupied(mut entry) = self.exchanges.entry(id) else {
            return None;
        };
        let pending = entry.get_mut();
        let (payload, place) = match pending.reset.take() {
            Some((reset, place)) => (Payload::Reset(reset), place),
            None => (Payload::Window(std::mem::take(&mut pending.window)), None),
        };
        let message = pending.exchange.message(payload);
        if pending.is_empty() {
            entry.remove();
        }
        Some(Popped {
            message,
            waiter: None,
            place,
        })
    }

    fn pop_message(&mut self) -> Option<Popped> {
        let class = match (self.small.turns.is_empty(), self.bulk.turns.is_empty()) {
            (true, true) => return None,
            (false, true) => Class::Small,
            (false, false) if self.small_run < SMALL_BURST => Class::Small,
            (_, false) => Class::Bulk,
        };
        self.small_run = if class == Class::Small {
            (self.small_run + 1).min(SMALL_BURST)
        } else {
            0
        };
        let id = self.line(class).0.turns.pop_front()?;
        let Entry::Occupied(mut entry) = self.exchanges.entry(id) else {
            return None;
        };
        let pending = entry.get_mut();
        let Queued { message, weight } = pending.messages.pop()?;
        pending.exchange.set_written();
        let next = pending.messages.first().map(Queued::class);
        if pending.is_empty() {
            entry.remove();
        }
        if let Some(next) = next {
            self.line(next).0.turns.push_back(id);
        }
        let (line, limit) = self.line(class);
        line.bytes -= weight;
        let waiter = if line.bytes < limit {
            line.waiters.first()
        } else {
            None
        };
        Some(Popped {
            message,
            waiter,
            place: None,
        })
    }
}
