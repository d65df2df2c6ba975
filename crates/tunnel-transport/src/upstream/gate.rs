//! What lets the request body go, and what stops it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use http::StatusCode;
use tunnel_core::{BoxError, Cause, Initiator, Sent, TunnelError};

/// Shared by a request body and by whoever holds the exchange.
#[derive(Clone, Debug)]
pub(super) struct Gate(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    body: Option<Waker>,
    /// How the body itself failed.
    failure: Option<TunnelError>,
}

/// What the request body may do. It only ever moves down this list, and may leave steps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// `Expect: 100-continue` was sent: no polling yet.
    Waiting,
    /// It may be polled.
    Open,
    /// The upstream has answered and wants none of it: never polled, and neither ended nor broken, because either would
    /// end a response that still comes.
    Held,
    /// The exchange is over: the body breaks, so that HTTP/2 resets the stream and HTTP/1.1 closes the connection.
    Cut,
}

impl Gate {
    pub(super) fn new(waiting: bool) -> Self {
        let phase = if waiting { Phase::Waiting } else { Phase::Open };
        Self(Some(Arc::new(Mutex::new(State {
            phase,
            body: None,
            failure: None,
        }))))
    }

    /// For a request without a body, which nothing has to hold back or to stop.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// For the body: what it may do; wakes it when that changes.
    pub(super) fn poll_phase(&self, cx: &mut Context<'_>) -> Phase {
        let Some(mut state) = self.lock() else {
            return Phase::Open;
        };
        match &mut state.body {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.phase
    }

    /// The upstream asked for the body, or was silent for too long.
    pub(super) fn open(&self) {
        self.change(|phase| phase.max(Phase::Open));
    }

    /// The final response came. Before a body that still waits, success means that the upstream wants it all the same; any
    /// other answer stands instead of the body (RFC 9110, section 10.1.1).
    pub(super) fn answered(&self, status: StatusCode) {
        self.change(|phase| match phase {
            Phase::Waiting if status.is_success() => Phase::Open,
            Phase::Waiting => Phase::Held,
            later => later,
        });
    }

    /// The exchange is over, early or because nobody wants the body any more.
    pub(super) fn cut(&self) {
        self.change(|_| Phase::Cut);
    }

    /// Whether the body has been or is being sent as it should.
    pub(super) fn is_open(&self) -> bool {
        self.lock().is_none_or(|state| state.phase == Phase::Open)
    }

    /// The request body failed: what follows is not the upstream's fault.
    pub(super) fn fail(&self, source: BoxError) {
        let error = TunnelError::find(&*source).cloned();
        let error = error.unwrap_or_else(|| {
            TunnelError::new(Cause::Canceled, Initiator::Caller, "the request body broke off")
                .with_source(source)
        });
        if let Some(mut state) = self.lock() {
            state.failure = Some(error.with_sent(Sent::Yes));
        }
    }

    /// What broke the exchange: the request's own body, if it failed, or else `error`.
    pub(super) fn blame(&self, error: TunnelError) -> TunnelError {
        let failure = self.lock().and_then(|state| state.failure.clone());
        failure.unwrap_or(error)
    }

    /// Nothing without a body.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.0.as_ref()?;
        Some(state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, next: impl FnOnce(Phase) -> Phase) {
        let Some(mut state) = self.lock() else { return };
        let phase = next(state.phase);
        let waker = if phase == state.phase {
            None
        } else {
            state.body.take()
        };
        state.phase = phase;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The error of a body that was cut; nobody sees it but hyper, which takes the code of the reset from it.
pub(super) fn cut_error() -> BoxError {
    h2::Error::from(h2::Reason::CANCEL).into()
}
