//! One `Proxy` stream of a session: a queue bounded in bytes, and the choice of what goes next.
//!
//! The writer of the stream takes messages with [`Lane::poll_next`]. What goes first, from the first to the last:
//!
//! 1. pings and pongs,
//! 2. window updates and resets: each exchange has at most one of each pending, and a list names the exchanges,
//! 3. small messages, but after [`SMALL_BURST`] of them one bulk message,
//! 4. bulk messages, round robin between the exchanges.
//!
//! Priority chooses between exchanges, never within one: the messages of an exchange go in the order in which they came,
//! except that a window update overtakes, and a reset discards what it overtakes.

mod join;
mod queue;
#[cfg(test)]
mod tests;
mod waiters;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

pub(crate) use self::queue::{Class, weight, weight_with};
use self::{queue::Queue, waiters::WaiterId};
use crate::{
    error::TunnelError,
    exchange::{Exchange, Place},
    message::{MESSAGE_COST, Payload, Reset, TunnelMessage},
    sync::{lock, register, wake, watch},
};

/// Messages with at most this many bytes of body are small.
pub const SMALL_MESSAGE: usize = 4 * 1024;
/// After this many small messages one bulk message goes, so that neither starves.
pub const SMALL_BURST: u32 = 16;
/// Bytes of small messages that a lane queues.
pub const MAX_SMALL_BYTES: usize = 128 * 1024;
/// Bytes of bulk messages that a lane queues: four of the largest chunks and what they cost, which keep the writer busy; more would only
/// wait longer.
pub const MAX_BULK_BYTES: usize = 4 * (64 * 1024 + MESSAGE_COST);
/// Pings and pongs that a lane queues. A peer that asks faster than it reads gets no answer to the rest.
pub const MAX_SIGNALS: usize = 16;

/// One `Proxy` stream of a session, as its exchanges see it. Cheap to clone.
#[derive(Clone)]
pub struct Lane(Arc<Inner>);

struct Inner {
    index: u32,
    max_chunk: usize,
    /// Whether nothing has come on it for a heartbeat.
    is_suspect: AtomicBool,
    /// Whether the state is closed: for those who only ask. Changed under the lock.
    is_closed: AtomicBool,
    /// Small messages that have come.
    small: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    writer: Option<Waker>,
    /// Who waits for the queue to be empty.
    watchers: Vec<Waker>,
    closed: Option<TunnelError>,
    /// Whether the lane ends when the queue is empty.
    is_finishing: bool,
}

impl State {
    fn take_watchers(&mut self) -> Vec<Waker> {
        if self.queue.is_empty() {
            std::mem::take(&mut self.watchers)
        } else {
            Vec::new()
        }
    }
}

/// What a message needs of a lane, and its place in the line for that. Dropping it leaves the line.
#[derive(Debug)]
pub(crate) struct Ticket {
    class: Class,
    weight: usize,
    place: Option<(Lane, WaiterId)>,
}

impl Ticket {
    pub(crate) const fn new(class: Class, weight: usize) -> Self {
        Self {
            class,
            weight,
            place: None,
        }
    }
}

impl Lane {
    pub(crate) fn new(index: u32, max_chunk: usize) -> Self {
        Self(Arc::new(Inner {
            index,
            max_chunk,
            is_suspect: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            small: AtomicU32::new(0),
            state: Mutex::default(),
        }))
    }

    /// The lane's number in its session.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.0.index
    }

    /// Bytes that wait for the writer, envelopes included.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        lock(&self.0.state).queue.bytes()
    }

    /// Whether the lane has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Acquire)
    }

    /// Whether nothing has come on the lane for a heartbeat. New exchanges go by another lane, if there is one.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.0.is_suspect.load(Ordering::Relaxed)
    }

    /// Sets it, and tells whether that is a change.
    pub(crate) fn suspect(&self, is_suspect: bool) -> bool {
        self.0.is_suspect.swap(is_suspect, Ordering::Relaxed) != is_suspect
    }

    /// How many small messages have come that somebody waits for: no window updates, resets or signals. It begins anew after the
    /// greatest number.
    pub(crate) fn small(&self) -> u32 {
        self.0.small.load(Ordering::Relaxed)
    }

    /// Counts what has come, for one task that reads the lane: it takes no locked operation.
    pub(crate) fn on_message(&self, payload: &Payload) {
        let overtakes = matches!(
            payload,
            Payload::Window(_) | Payload::Reset(_) | Payload::Ping(_) | Payload::Pong(_)
        );
        if !overtakes && Class::of(payload) == Class::Small {
            let small = self.small().wrapping_add(1);
            self.0.small.store(small, Ordering::Relaxed);
        }
    }

    /// The next message for the writer; `None` when the lane is closed, or is finishing and has nothing left.
    ///
    /// One task polls this. Cancel safe: a message is taken only when it is returned.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<TunnelMessage>> {
        let (message, waiter, place, watchers) = {
            let mut state = lock(&self.0.state);
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            let Some(popped) = state.queue.pop() else {
                if state.is_finishing {
                    return Poll::Ready(None);
                }
                register(&mut state.writer, cx.waker());
                return Poll::Pending;
            };
            (popped.message, popped.waiter, popped.place, state.take_watchers())
        };
        drop(place);
        wake(waiter);
        watchers.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(message))
    }

    /// Ready when the writer has taken all that was queued, or when the lane is closed. Any number of tasks may poll this.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0.state);
        if state.closed.is_some() || state.queue.is_empty() {
            return Poll::Ready(());
        }
        watch(&mut state.watchers, cx.waker());
        Poll::Pending
    }

    /// Queues a ping or a pong; when there are [`MAX_SIGNALS`] already, it is dropped.
    pub fn signal(&self, message: TunnelMessage) {
        self.change(|queue| queue.push_signal(message));
    }

    /// Queues the refusal of an exchange that never got an entry. Says whether there was room: `limit` refusals that the
    /// peer has not read are more than it has a right to.
    pub(crate) fn refuse(&self, message: TunnelMessage, limit: usize) -> bool {
        self.change(|queue| queue.push_refusal(message, limit))
            .unwrap_or(true)
    }

    /// Queues `message` when there is room for it. The result says how much credit came back, because the message was
    /// joined to one that had not been written yet.
    pub(crate) fn poll_push(
        &self,
        exchange: &Arc<Exchange>,
        ticket: &mut Ticket,
        message: &mut Option<TunnelMessage>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, TunnelError>> {
        let (refund, writer, next) = {
            let mut state = lock(&self.0.state);
            let State {
                queue,
                writer,
                closed,
                ..
            } = &mut *state;
            if let Some(error) = closed {
                return Poll::Ready(Err(error.clone()));
            }
            if exchange.is_queue_closed() {
                return Poll::Ready(Err(TunnelError::canceled()));
            }
            if message.is_none() {
                return Poll::Ready(Ok(0));
            }
            let (class, weight) = (ticket.class, ticket.weight);
            let place = ticket.place.as_ref().map(|(_, id)| *id);
            if !queue.has_room(class, weight, place) {
                let id = queue.wait(class, place, cx.waker());
                ticket.place = Some((self.clone(), id));
                return Poll::Pending;
            }
            ticket.place = None;
            let next = queue.leave(class, place);
            let refund = message.take().map_or(0, |message| {
                queue.push(exchange, (class, weight), message, self.0.max_chunk)
            });
            (refund, writer.take(), next)
        };
        wake(writer);
        wake(next);
        Poll::Ready(Ok(refund))
    }

    /// Queues a message that needs no room, behind what the exchange has queued already.
    pub(crate) fn push_last(&self, exchange: &Arc<Exchange>, message: TunnelMessage) {
        self.change(|queue| {
            if !exchange.is_queue_closed() {
                exchange.close_queue();
                let weight = weight(&message.payload);
                queue.push(exchange, (Class::Small, weight), message, 0);
            }
        });
    }

    /// Adds to the exchange's pending window update.
    pub(crate) fn window(&self, exchange: &Arc<Exchange>, bytes: u32) {
        self.change(|queue| {
            if !exchange.is_queue_closed() {
                queue.window(exchange, bytes);
            }
        });
    }

    /// Discards what the exchange has queued, and queues a reset in its stead, unless nothing of the exchange was ever
    /// written: then the other end need not know. `place` is freed when the reset is written.
    pub(crate) fn reset(&self, exchange: &Arc<Exchange>, reset: Reset, place: Option<Place>) {
        let mut place = place;
        let waiters = self.change(|queue| {
            exchange.close_queue();
            let waiters = queue.discard(exchange.id());
            if exchange.is_known_to_peer() {
                queue.reset(exchange, reset, place.take());
            }
            waiters
        });
        drop(place);
        waiters.into_iter().flatten().for_each(wake);
    }

    /// Discards what the exchange has queued.
    pub(crate) fn discard(&self, exchange: &Arc<Exchange>) {
        let waiters = self.change(|queue| {
            exchange.close_queue();
            queue.discard(exchange.id())
        });
        waiters.into_iter().flatten().for_each(wake);
    }

    /// Ends the lane: what is queued is dropped, and everybody who waits is woken.
    pub(crate) fn close(&self, error: TunnelError) {
        let (queue, writer, waiters) = {
            let mut state = lock(&self.0.state);
            state.closed.get_or_insert(error);
            self.0.is_closed.store(true, Ordering::Release);
            let mut queue = std::mem::take(&mut state.queue);
            let mut waiters = queue.take_waiters();
            waiters.append(&mut state.watchers);
            (queue, state.writer.take(), waiters)
        };
        drop(queue);
        wake(writer);
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Ends the lane once what is queued has been written.
    pub(crate) fn finish(&self) {
        let writer = {
            let mut state = lock(&self.0.state);
            state.is_finishing = true;
            state.writer.take()
        };
        wake(writer);
    }

    /// Changes the queue, unless the lane is closed, and wakes the writer.
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let (result, writer, watchers) = {
            let mut state = lock(&self.0.state);
            if state.closed.is_some() {
                return None;
            }
            let result = change(&mut state.queue);
            (result, state.writer.take(), state.take_watchers())
        };
        wake(writer);
        watchers.into_iter().for_each(Waker::wake);
        Some(result)
    }
}

impl PartialEq for Lane {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("index", &self.0.index)
            .field("queued_bytes", &self.queued_bytes())
            .finish()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((lane, id)) = self.place.take() {
            let next = lane.change(|queue| queue.leave(self.class, Some(id)));
            wake(next.flatten());
        }
    }
}
