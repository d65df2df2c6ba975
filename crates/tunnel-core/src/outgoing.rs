//! A message on its way to a session's lane.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    error::TunnelError, exchange::Exchange, lane::Ticket, message::TunnelMessage, session::Session,
    sync::lock,
};

/// One message of one exchange: what the transport takes.
///
/// Window updates and resets do not come this way: they start in destructors, which cannot wait, and go straight to the
/// session's lane.
#[derive(Debug)]
pub struct Outgoing {
    session: Session,
    exchange: Arc<Exchange>,
    message: TunnelMessage,
}

impl Outgoing {
    pub(crate) fn new(session: Session, exchange: Arc<Exchange>, message: TunnelMessage) -> Self {
        Self {
            session,
            exchange,
            message,
        }
    }

    /// The session that the message belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &TunnelMessage {
        &self.message
    }

    /// Queues the message on its exchange's lane, waiting for room there.
    pub fn enqueue(self) -> Enqueue {
        let Self {
            exchange, message, ..
        } = self;
        Enqueue {
            exchange,
            ticket: Ticket::default(),
            message: Some(message),
        }
    }
}

/// The future of [`Outgoing::enqueue`].
///
/// Waits until the lane has room for the message, first come first served among messages of its size. Dropping it before
/// it is ready leaves the line, and the message is not sent.
///
/// # Errors
///
/// The lane is closed, or the exchange was reset.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Enqueue {
    exchange: Arc<Exchange>,
    ticket: Ticket,
    message: Option<TunnelMessage>,
}

impl Future for Enqueue {
    type Output = Result<(), TunnelError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            exchange,
            ticket,
            message,
        } = &mut *self;
        let refund = match exchange.lane().poll_push(exchange, ticket, message, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(refund)) => refund,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.with_sent(exchange.sent()))),
        };
        if refund > 0 {
            lock(&exchange.state).send_credit.refund(refund);
        }
        Poll::Ready(Ok(()))
    }
}
