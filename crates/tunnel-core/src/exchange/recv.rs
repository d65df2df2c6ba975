//! The half that receives.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

use super::{
    Effects, Exchange,
    state::{Receiving, State},
};
use crate::{
    error::TunnelError,
    head::ResponseHead,
    id::RequestId,
    message::{End, MESSAGE_COST},
    reason::ResetReason,
    session::Session,
    sync::{lock, register},
};

/// The receiving half of an exchange: the response's at the side that opened it, the request's at the other.
///
/// Dropping it before its end resets the exchange at the side that opened it. The side that answers may drop it early:
/// what arrives is then discarded (see [`exchange`](crate::exchange)).
pub struct RecvHalf {
    session: Session,
    exchange: Arc<Exchange>,
}

impl RecvHalf {
    pub(crate) fn new(session: Session, exchange: Arc<Exchange>) -> Self {
        Self { session, exchange }
    }

    /// The session that this belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The exchange's id.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.exchange.id()
    }

    /// The head of the response. Cancel safe; called again after the head was given it waits for ever.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, TunnelError>> {
        let mut state = lock(&self.exchange.state);
        if let Some(head) = state.head.take() {
            return Poll::Ready(Ok(head));
        }
        if let Receiving::Failed(error) = &state.receiving {
            return Poll::Ready(Err(error.clone()));
        }
        register(&mut state.recv_waker, cx.waker());
        Poll::Pending
    }

    /// The next piece of the body, or its trailers. Never an empty piece. Reading returns credit to the peer.
    ///
    /// # Errors
    ///
    /// Why the body broke off; what had been given until then is not the whole.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        let session = &self.session;
        self.exchange.update(session, |state, effects| {
            if let Some(bytes) = state.queue.pop_front() {
                state.recv_credit.read(bytes.len() + MESSAGE_COST);
                return_credit(session, state, effects);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match &state.receiving {
                Receiving::Failed(error) => Poll::Ready(Some(Err(error.clone()))),
                Receiving::Ended => {
                    let trailers = state.end.as_mut().and_then(|End { trailers }| trailers.take());
                    Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(fields))))
                }
                Receiving::Head | Receiving::Open => {
                    return_credit(session, state, effects);
                    register(&mut state.recv_waker, cx.waker());
                    Poll::Pending
                }
            }
        })
    }

    /// Whether the body has been given in full.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        let state = lock(&self.exchange.state);
        let has_trailers = state.end.as_ref().is_some_and(|end| end.trailers.is_some());
        matches!(state.receiving, Receiving::Ended) && state.queue.is_empty() && !has_trailers
    }
}

fn return_credit(session: &Session, state: &mut State, effects: &mut Effects) {
    if !state.is_recv_open() {
        state.recv_credit.end();
    } else if state.recv_credit.is_due() {
        effects.window = state.recv_credit.claim(session.now(), session.round_trip());
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        self.exchange.update(&self.session, |state, effects| {
            state.queue.clear();
            if !state.is_recv_open() {
                state.recv_credit.discard();
                state.recv_credit.end();
                return;
            }
            if state.opener {
                state.reset(ResetReason::Cancel, &TunnelError::canceled(), effects);
                return;
            }
            state.detached = true;
            state.recv_credit.discard();
            effects.window = state.recv_credit.claim_discarded();
        });
    }
}

impl fmt::Debug for RecvHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvHalf")
            .field("id", &self.exchange.id())
            .finish_non_exhaustive()
    }
}
