//! A message on its way to a session's lane.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    error::{Cause, Initiator, TunnelError},
    exchange::Exchange,
    lane::{Class, Ticket},
    message::TunnelMessage,
    reason::ResetReason,
    session::Session,
    sync::wake,
};

/// One message of one exchange: what the transport takes.
///
/// Dropping it, or its [`Enqueue`], before the message is queued resets the exchange: the other end must not take what
/// remains for the whole.
///
/// Window updates and resets do not come this way: they start in destructors, which cannot wait, and go straight to the
/// session's lane.
pub struct Outgoing {
    missing: Missing,
    message: TunnelMessage,
    weight: usize,
}

impl Outgoing {
    /// `weight` is what the lane counts for the message.
    pub(crate) fn new(exchange: Arc<Exchange>, message: TunnelMessage, weight: usize) -> Self {
        let missing = Missing {
            exchange,
            is_queued: false,
        };
        Self {
            missing,
            message,
            weight,
        }
    }

    /// The session that the message belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.missing.exchange.session()
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &TunnelMessage {
        &self.message
    }

    /// Queues the message on its exchange's lane, waiting for room there.
    pub fn enqueue(self) -> Enqueue {
        let Self {
            missing,
            message,
            weight,
        } = self;
        Enqueue {
            missing,
            ticket: Ticket::new(Class::of(&message.payload), weight),
            message: Some(message),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("id", &self.message.id)
            .field("data_len", &self.message.payload.data_len())
            .finish_non_exhaustive()
    }
}

/// The future of [`Outgoing::enqueue`].
///
/// Waits until the lane has room for the message, first come first served among messages of its size. Dropping it before
/// it is ready leaves the line; the message is not sent, and the exchange is reset.
///
/// # Errors
///
/// The lane is closed, or the exchange was reset.
#[must_use = "futures do nothing unless polled"]
pub struct Enqueue {
    missing: Missing,
    ticket: Ticket,
    message: Option<TunnelMessage>,
}

impl Future for Enqueue {
    type Output = Result<(), TunnelError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            missing,
            ticket,
            message,
        } = &mut *self;
        let exchange = &missing.exchange;
        let result = match exchange.lane().poll_push(exchange, ticket, message, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => Ok(()),
            Poll::Ready(Ok(refund)) => {
                wake(exchange.refund(refund, cx.waker()));
                Ok(())
            }
            // Whoever closed the queue has seen to the exchange, or is about to.
            Poll::Ready(Err(error)) => Err(error.with_sent(exchange.sent())),
        };
        missing.is_queued = true;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Enqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue")
            .field("id", &self.missing.exchange.id())
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// The exchange that misses a message until it is queued.
struct Missing {
    exchange: Arc<Exchange>,
    is_queued: bool,
}

impl Drop for Missing {
    fn drop(&mut self) {
        if !self.is_queued && self.exchange.is_send_open() {
            let text = "a message was dropped on its way into the tunnel";
            let error = TunnelError::new(Cause::Internal, Initiator::Tunnel, text);
            let error = error.with_sent(self.exchange.seal());
            self.exchange.reset(ResetReason::Internal, &error);
        }
    }
}
