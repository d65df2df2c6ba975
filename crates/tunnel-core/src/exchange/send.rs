//! The half that sends.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Exchange,
    state::{Sending, State, Upgrade},
};
use crate::{
    error::{Cause, Initiator, Sent, TunnelError},
    head::Protocol,
    lane::weight,
    message::Payload,
    outgoing::Outgoing,
    reason::ResetReason,
    session::Session,
    sync::register,
};

/// Why nothing more can be sent.
#[derive(Clone, Debug)]
pub enum SendClosed {
    /// The peer has answered in full and wants no more; nothing failed.
    Stopped,
    /// The exchange failed.
    Failed(TunnelError),
}

impl SendClosed {
    pub(crate) fn into_result(self) -> Result<(), TunnelError> {
        match self {
            Self::Stopped => Ok(()),
            Self::Failed(error) => Err(error),
        }
    }
}

/// The sending half of an exchange: the request's at the side that opened it, the response's at the other.
///
/// Dropping it before [`finish`](Self::finish) resets the exchange, so that the far end never takes what was sent for the
/// whole.
pub struct SendHalf {
    exchange: Arc<Exchange>,
    finished: bool,
}

impl SendHalf {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self {
            exchange,
            finished: false,
        }
    }

    /// The session that this belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.exchange.session()
    }

    /// The exchange's id.
    #[must_use]
    pub fn id(&self) -> crate::id::RequestId {
        self.exchange.id()
    }

    /// What the exchange carries.
    pub(crate) fn protocol(&self) -> Protocol {
        self.exchange.protocol
    }

    /// Whether frames of WebSocket follow the upgrade, and not bytes.
    pub(crate) fn is_framed(&self) -> bool {
        self.exchange.is_framed
    }

    /// Whether the other end has answered that it does not switch to the protocol that was asked for.
    pub(crate) fn is_refused(&self) -> bool {
        self.with(|state| state.upgrade == Upgrade::Refused)
    }

    /// Whether this sends a request, and not a response.
    pub(crate) fn is_request(&self) -> bool {
        self.exchange.opener
    }

    /// A message of this exchange, for the transport.
    #[must_use]
    pub fn outgoing(&self, payload: Payload) -> Outgoing {
        let weight = weight(&payload);
        self.weighed(payload, weight)
    }

    /// A message of this exchange whose weight is known.
    pub(crate) fn weighed(&self, payload: Payload, weight: usize) -> Outgoing {
        if let Payload::Response(start) = &payload {
            self.exchange.set_answered(start.head.status);
        }
        let message = self.exchange.message(payload);
        Outgoing::new(self.exchange.clone(), message, weight)
    }

    /// Whether, and why, nothing more can be sent.
    pub(crate) fn closed(&self) -> Option<SendClosed> {
        self.with(|state| closed(state))
    }

    /// Ready when nothing more can be sent. Remembers the waker of the last task that polled any of the `poll` functions.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<SendClosed> {
        self.with(|state| {
            register(&mut state.send_waker, cx.waker());
            match closed(state) {
                Some(closed) => Poll::Ready(closed),
                None => Poll::Pending,
            }
        })
    }

    /// Ready when there is credit for a piece of useful size, or when nothing more can be sent.
    pub fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_credit(cx, |state| {
            (state.send_credit.is_open() || !state.is_send_open()).then_some(())
        })
    }

    /// Takes credit for a piece of at most `wanted` bytes, and says of how many.
    ///
    /// The caller sends that piece, or drops this half.
    pub fn poll_take(&self, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        self.poll_credit(cx, |state| {
            let piece = state.send_credit.take(wanted)?;
            state.sent_bytes += piece as u64;
            Some(piece)
        })
    }

    /// Takes credit for a piece of a frame, with at most `wanted` bytes, and says with how many. An empty frame has a cost too.
    ///
    /// The caller sends that piece, or drops this half.
    pub fn poll_take_frame(&self, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        self.poll_credit(cx, |state| {
            let piece = state.send_credit.take_frame(wanted)?;
            state.sent_bytes += piece as u64;
            Some(piece)
        })
    }

    /// What needs credit; the time without it is counted.
    fn poll_credit<T>(&self, cx: &mut Context<'_>, take: impl FnOnce(&mut State) -> Option<T>) -> Poll<T> {
        self.with(|state| match take(state) {
            Some(taken) => {
                self.is_fed(state);
                Poll::Ready(taken)
            }
            None => {
                if !state.is_starved {
                    state.is_starved = true;
                    let session = self.session();
                    session.tally().starves(session.now());
                }
                register(&mut state.send_waker, cx.waker());
                Poll::Pending
            }
        })
    }

    fn is_fed(&self, state: &mut State) {
        if std::mem::take(&mut state.is_starved) {
            let session = self.session();
            session.tally().fed(session.now());
        }
    }

    /// Notes that the last message of this direction is on its way.
    pub fn finish(mut self) {
        self.finished = true;
        self.exchange.update(|state, _| {
            self.is_fed(state);
            state.on_sent_end();
        });
    }

    /// Resets the exchange with this reason, and fails its other half with `error`, which then says truly whether
    /// anything was sent.
    pub fn reset(mut self, reason: ResetReason, error: &TunnelError) {
        self.finished = true;
        self.with(|state| self.is_fed(state));
        let error = error.clone().with_sent(self.seal());
        self.exchange.reset(reason, &error);
    }

    /// Takes back what is queued, so that nothing more is written, and says what was.
    pub(crate) fn seal(&self) -> Sent {
        self.exchange.seal()
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut crate::sync::lock(&self.exchange.state))
    }
}

fn closed(state: &State) -> Option<SendClosed> {
    match &state.sending {
        Sending::Open => None,
        Sending::Ended | Sending::Stopped => Some(SendClosed::Stopped),
        Sending::Failed(error) => Some(SendClosed::Failed(error.clone())),
    }
}

fn given_up() -> TunnelError {
    let text = "the answer was given up before it was complete";
    TunnelError::new(Cause::Internal, Initiator::Tunnel, text)
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let opener = self.exchange.opener;
        self.exchange.update(|state, effects| {
            self.is_fed(state);
            if !state.is_send_open() {
                return;
            }
            if opener {
                state.reset(ResetReason::Cancel, &TunnelError::canceled(), effects);
            } else {
                state.reset(ResetReason::Internal, &given_up(), effects);
            }
        });
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf")
            .field("id", &self.exchange.id())
            .finish_non_exhaustive()
    }
}
