//! The two directions of an exchange.
//!
//! ```text
//!   sending:    Open ──end──▶ Ended          receiving:  Head ──head──▶ Open ──end──▶ Ended
//!                 │ ╲                                      │             │
//!                 │  ╲─NO_ERROR─▶ Stopped                  ╰──reset, loss┴──▶ Failed
//!                 ╰──reset, loss─▶ Failed
//! ```

use std::task::Waker;

use http::StatusCode;

use super::{Action, Effects, Place, backlog::Backlog, frames::Frames};
use crate::{
    error::{Cause, Initiator, TunnelError},
    flow::{RecvCredit, SendCredit},
    head::{Protocol, ResponseHead},
    message::{Data, End, MESSAGE_COST, Reset, ResponseStart},
    reason::ResetReason,
    ws::WsFrame,
};

/// How the peer broke the rules of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) reason: ResetReason,
    pub(crate) what: &'static str,
}

impl Violation {
    const fn protocol(what: &'static str) -> Self {
        Self {
            reason: ResetReason::Protocol,
            what,
        }
    }

    pub(super) fn into_error(self) -> TunnelError {
        TunnelError::new(Cause::Protocol, Initiator::Peer, self.what)
    }
}

/// What may still be sent.
#[derive(Debug)]
pub(crate) enum Sending {
    Open,
    Ended,
    /// The peer has answered in full and wants no more.
    Stopped,
    Failed(TunnelError),
}

/// What may still arrive.
#[derive(Debug)]
pub(crate) enum Receiving {
    Head,
    Open,
    Ended,
    Failed(TunnelError),
}

/// What became of the wish to switch to another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// There was none.
    NotAsked,
    /// No answer has come; it never does at the side that gives it.
    Asked {
        /// Whether frames follow, and not bytes.
        is_framed: bool,
    },
    Refused,
    Done,
}

/// Both directions of one exchange.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) opener: bool,
    pub(super) sending: Sending,
    pub(crate) send_credit: SendCredit,
    /// Whether the sender waits for credit, and that is counted.
    pub(super) is_starved: bool,
    pub(super) send_waker: Option<Waker>,
    pub(super) receiving: Receiving,
    pub(super) head: Option<ResponseHead>,
    pub(super) queue: Backlog,
    /// What stands in the place of `queue` where frames come. Boxed, because few exchanges have it.
    pub(super) frames: Option<Box<Frames>>,
    pub(super) upgrade: Upgrade,
    pub(super) end: Option<End>,
    pub(crate) recv_credit: RecvCredit,
    pub(super) recv_waker: Option<Waker>,
    /// Whether the receiving half was dropped, so that what arrives is discarded.
    pub(super) detached: bool,
    /// Bytes of body that were taken for sending.
    pub(super) sent_bytes: u64,
    /// Bytes of body that have come.
    pub(super) received_bytes: u64,
    /// Whether the entry has left the table.
    finished: bool,
    place: Option<Place>,
}

impl State {
    // Large, and made once for each exchange: where it is made, it need not be moved.
    #[inline(always)]
    pub(super) fn new(
        opener: bool,
        (protocol, is_framed): (Protocol, bool),
        (send_credit, recv_credit): (SendCredit, RecvCredit),
        end: Option<End>,
        place: Place,
    ) -> Self {
        let is_upgrade = protocol == Protocol::WebSocket;
        Self {
            opener,
            sending: Sending::Open,
            send_credit,
            is_starved: false,
            send_waker: None,
            receiving: match end {
                _ if opener => Receiving::Head,
                Some(_) => Receiving::Ended,
                None => Receiving::Open,
            },
            head: None,
            queue: Backlog::default(),
            frames: (is_upgrade && is_framed && !opener).then(Box::default),
            upgrade: match is_upgrade {
                true => Upgrade::Asked { is_framed },
                false => Upgrade::NotAsked,
            },
            end,
            recv_credit,
            recv_waker: None,
            detached: false,
            sent_bytes: 0,
            received_bytes: 0,
            finished: false,
            place: Some(place),
        }
    }

    /// Takes the head of the response.
    pub(crate) fn on_response(
        &mut self,
        start: ResponseStart,
        effects: &mut Effects,
    ) -> Result<(), Violation> {
        match self.receiving {
            Receiving::Failed(_) => return Ok(()),
            Receiving::Head if self.opener => self.receiving = Receiving::Open,
            _ => return Err(Violation::protocol("a second head came for one exchange")),
        }
        match (self.upgrade, start.head.status) {
            (Upgrade::Asked { is_framed }, StatusCode::SWITCHING_PROTOCOLS) => {
                self.upgrade = Upgrade::Done;
                self.frames = is_framed.then(Box::default);
            }
            (_, StatusCode::SWITCHING_PROTOCOLS) => {
                return Err(Violation::protocol("a 101 came that nobody had asked for"));
            }
            (Upgrade::Asked { .. }, _) => self.upgrade = Upgrade::Refused,
            _ => {}
        }
        self.head = Some(start.head);
        effects.recv_waker = self.recv_waker.take();
        if start.data.is_empty() && start.end.is_none() {
            return Ok(());
        }
        self.on_data(
            Data {
                data: start.data,
                end: start.end,
            },
            effects,
        )
    }

    /// Takes a piece of the body, or its end.
    pub(crate) fn on_data(&mut self, data: Data, effects: &mut Effects) -> Result<(), Violation> {
        if !self.takes_body()? {
            return Ok(());
        }
        if data.data.is_empty() && data.end.is_none() {
            return Err(Violation::protocol(
                "an empty piece of body came that is not the end",
            ));
        }
        if !data.data.is_empty() {
            if self.frames.is_some() {
                return Err(Violation::protocol("bytes came where frames must"));
            }
            if self.take_cost(data.data.len(), effects)? {
                self.queue.push(data.data);
            }
        }
        if let Some(end) = data.end {
            self.receiving = Receiving::Ended;
            self.recv_credit.end();
            self.end = Some(end);
            effects.window = None;
        }
        effects.recv_waker = effects.recv_waker.take().or_else(|| self.recv_waker.take());
        Ok(())
    }

    /// Takes a WebSocket frame, or a piece of one.
    pub(crate) fn on_frame(&mut self, piece: WsFrame, effects: &mut Effects) -> Result<(), Violation> {
        if !self.takes_body()? {
            return Ok(());
        }
        let Some(frames) = &mut self.frames else {
            return Err(Violation::protocol("a frame came where none may"));
        };
        frames.check(&piece).map_err(Violation::protocol)?;
        if self.take_cost(piece.data.len(), effects)?
            && let Some(frames) = &mut self.frames
        {
            frames.push(piece);
            effects.recv_waker = self.recv_waker.take();
        }
        Ok(())
    }

    /// Whether what arrives now is of use; it is not when the exchange has failed.
    fn takes_body(&self) -> Result<bool, Violation> {
        match self.receiving {
            Receiving::Failed(_) => Ok(false),
            Receiving::Open => Ok(true),
            Receiving::Head => Err(Violation::protocol("a piece of body came before the head")),
            Receiving::Ended => Err(Violation::protocol("a piece of body came after the end")),
        }
    }

    /// Counts a message with `len` bytes, and says whether somebody will read it.
    fn take_cost(&mut self, len: usize, effects: &mut Effects) -> Result<bool, Violation> {
        let cost = len + MESSAGE_COST;
        let overrun = Violation {
            reason: ResetReason::FlowControl,
            what: "more body came than the credit allows",
        };
        self.recv_credit.receive(cost).map_err(|_| overrun)?;
        self.received_bytes += len as u64;
        if self.detached {
            self.recv_credit.read(cost);
            effects.window = self.recv_credit.claim_discarded();
        }
        Ok(!self.detached)
    }

    /// Forgets what was received and not read.
    pub(super) fn clear_queue(&mut self) {
        self.queue.clear();
        if let Some(frames) = &mut self.frames {
            frames.clear();
        }
    }

    /// Whether all that was received has been read.
    pub(super) fn is_queue_empty(&self) -> bool {
        self.queue.is_empty() && self.frames.as_ref().is_none_or(|frames| frames.is_empty())
    }

    /// Takes credit that the peer returned.
    pub(crate) fn on_window(&mut self, bytes: u32, effects: &mut Effects) -> Result<(), Violation> {
        if bytes == 0 {
            return Err(Violation::protocol("a window update of nothing came"));
        }
        let overflow = Violation {
            reason: ResetReason::FlowControl,
            what: "more credit came than can be counted",
        };
        self.send_credit.grow(bytes).map_err(|_| overflow)?;
        effects.send_waker = self.send_waker.take();
        Ok(())
    }

    /// Takes the peer's reset.
    pub(crate) fn on_reset(&mut self, reset: Reset, effects: &mut Effects) -> Result<(), Violation> {
        if reset.reason == ResetReason::NoError {
            if !self.opener || !matches!(self.receiving, Receiving::Ended) {
                return Err(Violation::protocol(
                    "NO_ERROR came before the answer was complete",
                ));
            }
            if matches!(self.sending, Sending::Open) {
                self.sending = Sending::Stopped;
                effects.send_waker = self.send_waker.take();
            }
        } else {
            self.fail(&reset.reason.into_error(reset.detail), effects);
        }
        effects.action = Some(Action::Discard);
        Ok(())
    }

    /// Ends what has not ended yet.
    pub(crate) fn fail(&mut self, error: &TunnelError, effects: &mut Effects) {
        if matches!(self.sending, Sending::Open) {
            self.sending = Sending::Failed(error.clone());
            effects.send_waker = self.send_waker.take();
        }
        if matches!(self.receiving, Receiving::Head | Receiving::Open) {
            self.receiving = Receiving::Failed(error.clone());
            (self.head, self.end) = (None, None);
            self.clear_queue();
            self.recv_credit.discard();
            effects.recv_waker = self.recv_waker.take();
        }
    }

    /// Ends what has not ended yet, and tells the peer.
    pub(crate) fn reset(&mut self, reason: ResetReason, error: &TunnelError, effects: &mut Effects) {
        if self.finished {
            return;
        }
        self.fail(error, effects);
        let detail = (reason != ResetReason::Cancel).then(|| error.message().to_owned());
        effects.action = Some(Action::Reset(Reset { reason, detail }));
    }

    /// Notes that the end of the sending direction is queued.
    pub(crate) fn on_sent_end(&mut self) {
        if matches!(self.sending, Sending::Open) {
            self.sending = Sending::Ended;
        }
    }

    pub(crate) fn is_send_open(&self) -> bool {
        matches!(self.sending, Sending::Open)
    }

    pub(crate) fn is_recv_open(&self) -> bool {
        matches!(self.receiving, Receiving::Head | Receiving::Open)
    }

    /// After any change: asks the peer to stop if nobody reads and the answer is complete, and finishes the exchange when
    /// both directions are over.
    pub(super) fn settle(&mut self, effects: &mut Effects) {
        if self.finished {
            return;
        }
        let outstanding = self.recv_credit.outstanding();
        if self.detached && self.is_recv_open() && !self.is_send_open() {
            self.receiving = Receiving::Ended;
            effects.action.get_or_insert(Action::Stop);
        }
        if self.is_send_open() || self.is_recv_open() {
            return;
        }
        self.finished = true;
        self.recv_credit.end();
        effects.finished = Some(outstanding);
        effects.place = self.place.take();
    }
}
