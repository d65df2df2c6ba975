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
    state::{Receiving, State, Upgrade},
};
use crate::{
    error::TunnelError,
    flow::Way,
    head::{Protocol, ResponseHead},
    id::RequestId,
    message::End,
    reason::ResetReason,
    session::Session,
    sync::{lock, register},
    ws::Encoder,
};

/// The receiving half of an exchange: the response's at the side that opened it, the request's at the other.
///
/// Dropping it before its end resets the exchange at the side that opened it. The side that answers may drop it early:
/// what arrives is then discarded (see [`exchange`](crate::exchange)).
pub struct RecvHalf {
    exchange: Arc<Exchange>,
    /// What makes frames of WebSocket the bytes again that they are outside of the tunnel.
    encoder: Option<Box<Encoder>>,
    known: Known,
}

/// What this half knows of the body without a lock: only it takes from what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nothing, until somebody looks.
    Nothing,
    /// There is something that it has not been asked for.
    More,
    /// It has given all.
    Given,
    /// And what that cost is returned, so that nothing is left to do.
    Over,
}

impl RecvHalf {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        // What the acceptor receives goes to a server.
        let encoder = || Box::new(Encoder::new(!exchange.opener));
        let encoder = exchange.is_framed.then(encoder);
        Self {
            exchange,
            encoder,
            known: Known::Nothing,
        }
    }

    /// The session that this belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.exchange.session()
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
            self.known = match known(&state) {
                // Nothing was given before the head.
                Known::Given => Known::Over,
                known => known,
            };
            return Poll::Ready(Ok(head));
        }
        if let Receiving::Failed(error) = &state.receiving {
            return Poll::Ready(Err(error.clone()));
        }
        register(&mut state.recv_waker, cx.waker());
        Poll::Pending
    }

    /// Whether the body is what follows an upgrade, or will be if the upgrade is done.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.exchange.protocol == Protocol::WebSocket
            && (!self.exchange.opener || lock(&self.exchange.state).upgrade == Upgrade::Done)
    }

    /// The next piece of the body, or its trailers. Never an empty piece. Asking for more returns the credit of what was given
    /// before to the peer: whoever asks when there is room for it never has more than the window in memory.
    ///
    /// # Errors
    ///
    /// Why the body broke off; what had been given until then is not the whole.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        let encoded = self.encoder.as_mut().and_then(|encoder| encoder.next());
        if let Some(bytes) = encoded {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let (exchange, encoder, now_known) = (&self.exchange, &mut self.encoder, &mut self.known);
        let polled = exchange.update(|state, effects| {
            state.recv_credit.settle();
            if let (Some(frames), Some(encoder)) = (&mut state.frames, encoder) {
                let cost = frames.drain(encoder, || exchange.session().random());
                if cost > 0 {
                    state.recv_credit.lend(cost);
                    return_credit(exchange, state, effects);
                    *now_known = known(state);
                    return Poll::Ready(None);
                }
            }
            if let Some((bytes, cost)) = state.queue.pop() {
                state.recv_credit.lend(cost);
                return_credit(exchange, state, effects);
                *now_known = known(state);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match &state.receiving {
                Receiving::Failed(error) => Poll::Ready(Some(Err(error.clone()))),
                Receiving::Ended => {
                    let trailers = state.end.as_mut().and_then(|End { trailers }| trailers.take());
                    state.recv_credit.end();
                    *now_known = Known::Over;
                    Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(*fields))))
                }
                Receiving::Head | Receiving::Open => {
                    return_credit(exchange, state, effects);
                    register(&mut state.recv_waker, cx.waker());
                    Poll::Pending
                }
            }
        });
        // Large pieces are masked here, where nothing is locked.
        match (polled, &mut self.encoder) {
            (Poll::Ready(None), Some(encoder)) => {
                Poll::Ready(encoder.next().map(|bytes| Ok(Frame::data(bytes))))
            }
            (polled, _) => polled,
        }
    }

    /// Whether the body has been given in full.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        let is_encoded = self.encoder.as_ref().is_none_or(|encoder| encoder.is_empty());
        let known = match self.known {
            Known::Nothing => known(&lock(&self.exchange.state)),
            known => known,
        };
        is_encoded && matches!(known, Known::Given | Known::Over)
    }

    /// There is no body, as whoever has made this knows.
    pub(crate) fn without_body(mut self) -> Self {
        self.known = Known::Over;
        self
    }
}

fn known(state: &State) -> Known {
    let has_trailers = state.end.as_ref().is_some_and(|end| end.trailers.is_some());
    if has_trailers || !state.is_queue_empty() {
        Known::More
    } else if matches!(state.receiving, Receiving::Ended) {
        Known::Given
    } else {
        Known::Nothing
    }
}

fn return_credit(exchange: &Exchange, state: &mut State, effects: &mut Effects) {
    if !state.is_recv_open() {
        state.recv_credit.end();
        return;
    }
    let session = exchange.session();
    let round_trip = session.round_trip();
    if state.recv_credit.is_due(round_trip) {
        let small = exchange.lane().small();
        let way = Way { round_trip, small };
        effects.window = state.recv_credit.claim(session.now(), way);
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        if self.known == Known::Over {
            return;
        }
        self.exchange.update(|state, effects| {
            state.clear_queue();
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
