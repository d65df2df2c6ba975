//! One request and its response, as one end sees it.
//!
//! ```text
//!           opener                                        acceptor
//!   SendHalf: request  ── head, data, end ──────────────▶  RecvHalf: request
//!   RecvHalf: response ◀─────────────── head, data, end ── SendHalf: response
//! ```
//!
//! Each half ends by itself. A half that is dropped before its direction has ended resets the exchange, with one
//! exception: the side that answers may drop the request's body early. Then what arrives is discarded, and the credit for
//! it returned, until the answer is complete; after that a reset with the reason NO_ERROR asks the other side to stop.
//!
//! The session's table keeps an entry while either direction may still carry a message, and no longer.

mod backlog;
mod frames;
mod place;
mod recv;
mod send;
mod state;
mod status;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::Waker,
    time::Instant,
};

pub(crate) use self::{
    place::{Place, Places},
    state::{State, Violation},
};
pub use self::{
    recv::RecvHalf,
    send::{SendClosed, SendHalf},
    status::{ExchangePhase, ExchangeStatus},
};
use crate::{
    error::{Sent, TunnelError},
    flow::{RecvCredit, SendCredit},
    head::Protocol,
    id::RequestId,
    lane::Lane,
    message::{Direction, End, Payload, Reset, TunnelMessage},
    reason::ResetReason,
    session::Session,
    sync::{lock, wake},
};

/// What both halves and the session's table share.
pub(crate) struct Exchange {
    /// Has this in its table until the exchange is over or the session closed, and so neither keeps the other for ever.
    session: Session,
    id: RequestId,
    direction: Direction,
    protocol: Protocol,
    /// Whether frames of WebSocket follow the upgrade.
    is_framed: bool,
    opener: bool,
    lane: Lane,
    since: Instant,
    /// The rule that the request has matched, at the end where that was.
    rule: Option<Arc<str>>,
    /// What this end has answered, at the side that answers: nothing yet, a response, or the switch to another protocol.
    answered: AtomicU8,
    /// Whether the writer has taken a message of this exchange.
    written: AtomicBool,
    /// Whether the lane takes nothing more of this exchange. Changed under the lane's lock only.
    queue_closed: AtomicBool,
    pub(crate) state: Mutex<State>,
}

/// What has to be done once an exchange's state is unlocked.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) send_waker: Option<Waker>,
    pub(crate) recv_waker: Option<Waker>,
    pub(crate) window: Option<u32>,
    pub(crate) action: Option<Action>,
    /// Set when the entry must leave the table: the credit that the peer may still believe it has.
    pub(crate) finished: Option<usize>,
    pub(crate) place: Option<Place>,
}

/// What the lane has to be told.
pub(crate) enum Action {
    /// Discard what is queued, and reset the exchange.
    Reset(Reset),
    /// Discard what is queued; the peer knows.
    Discard,
    /// Ask the peer to stop sending, behind what is queued.
    Stop,
}

/// What is known of an exchange when it begins.
pub(crate) struct Begun {
    pub(crate) session: Session,
    pub(crate) lane: Lane,
    pub(crate) id: RequestId,
    pub(crate) direction: Direction,
    pub(crate) protocol: Protocol,
    /// Whether frames of WebSocket follow the upgrade.
    pub(crate) is_framed: bool,
    /// Whether this end opens it.
    pub(crate) opener: bool,
    pub(crate) rule: Option<Arc<str>>,
    pub(crate) since: Instant,
    pub(crate) send_credit: SendCredit,
    pub(crate) recv_credit: RecvCredit,
    /// The end of the request, if it came with the head and without a body.
    pub(crate) end: Option<End>,
    pub(crate) place: Place,
}

impl Exchange {
    // Large, and made once for each exchange: where it is made, it need not be moved.
    #[inline(always)]
    pub(crate) fn new(begun: Begun) -> Self {
        let Begun {
            session,
            lane,
            id,
            direction,
            protocol,
            is_framed,
            opener,
            rule,
            since,
            send_credit,
            recv_credit,
            end,
            place,
        } = begun;
        let (credit, wire) = ((send_credit, recv_credit), (protocol, is_framed));
        let state = State::new(opener, wire, credit, end, place);
        let (written, queue_closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            session,
            id,
            direction,
            protocol,
            is_framed,
            opener,
            lane,
            since,
            rule,
            answered: AtomicU8::new(0),
            written,
            queue_closed,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(crate) fn message(&self, payload: Payload) -> TunnelMessage {
        TunnelMessage {
            id: self.id,
            direction: self.direction,
            protocol: self.protocol,
            payload,
        }
    }

    pub(crate) fn set_written(&self) {
        self.written.store(true, Ordering::Release);
    }

    pub(crate) fn is_known_to_peer(&self) -> bool {
        !self.opener || self.written.load(Ordering::Acquire)
    }

    pub(crate) fn close_queue(&self) {
        self.queue_closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_queue_closed(&self) -> bool {
        self.queue_closed.load(Ordering::Acquire)
    }

    /// What of this exchange has left the process.
    pub(crate) fn sent(&self) -> Sent {
        if self.is_known_to_peer() {
            Sent::Yes
        } else {
            Sent::No
        }
    }

    /// Takes back what is queued, so that nothing more is written, and says what was.
    pub(crate) fn seal(self: &Arc<Self>) -> Sent {
        self.lane.discard(self);
        self.sent()
    }

    pub(crate) fn is_send_open(&self) -> bool {
        lock(&self.state).is_send_open()
    }

    /// Gives credit back that a joined message does not cost. Says whom to wake: the sender, unless it is the one who does
    /// this.
    pub(crate) fn refund(&self, bytes: usize, own: &Waker) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.send_credit.refund(bytes);
        state.send_waker.take_if(|waker| !waker.will_wake(own))
    }

    /// Changes the state, and does what follows from that.
    pub(crate) fn update<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = {
            let mut state = lock(&self.state);
            let result = change(&mut state, &mut effects);
            state.settle(&mut effects);
            result
        };
        self.apply(effects);
        result
    }

    fn apply(self: &Arc<Self>, effects: Effects) {
        let Effects {
            send_waker,
            recv_waker,
            window,
            action,
            finished,
            place,
        } = effects;
        if let Some(bytes) = window {
            self.session.tally().granted(bytes as usize);
            self.lane.window(self, bytes);
        }
        let place = match action {
            Some(Action::Reset(reset)) => {
                if self.is_known_to_peer() {
                    self.session.tally().sent_reset(reset.reason);
                }
                self.lane.reset(self, reset, place);
                None
            }
            Some(Action::Discard) => {
                self.lane.discard(self);
                place
            }
            Some(Action::Stop) => {
                self.session.tally().sent_reset(ResetReason::NoError);
                let reset = Reset {
                    reason: ResetReason::NoError,
                    detail: None,
                };
                self.lane.push_last(self, self.message(Payload::Reset(reset)));
                place
            }
            None => place,
        };
        if let Some(outstanding) = finished {
            self.session.remove(self.id, outstanding);
        }
        drop(place);
        wake(send_waker);
        wake(recv_waker);
    }

    /// Ends both directions, for a reason that the peer knows or cannot be told.
    pub(crate) fn fail(self: &Arc<Self>, error: &TunnelError) {
        let error = error.clone().with_sent(self.sent());
        self.update(|state, effects| {
            state.fail(&error, effects);
            effects.action.get_or_insert(Action::Discard);
        });
    }

    /// Ends both directions because of an error at this end, and tells the peer.
    pub(crate) fn reset(self: &Arc<Self>, reason: ResetReason, error: &TunnelError) {
        self.update(|state, effects| state.reset(reason, error, effects));
    }

    /// Ends both directions because the peer broke the rules.
    pub(crate) fn violate(self: &Arc<Self>, violation: Violation) {
        self.reset(violation.reason, &violation.into_error());
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("opener", &self.opener)
            .finish_non_exhaustive()
    }
}
