//! What can be told of an exchange while it is open.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{
    Exchange,
    state::{Receiving, Upgrade},
};
use crate::{head::Protocol, id::RequestId, sync::lock};

/// An open exchange, for people and tools.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExchangeStatus {
    /// Its id.
    pub id: RequestId,
    /// For how long it has been open at this end.
    pub age: Duration,
    /// What it carries.
    pub protocol: Protocol,
    /// The rule that the request has matched, if this end knows it.
    pub rule: Option<Arc<str>>,
    /// The number of its lane.
    pub lane: u32,
    /// Whether this end has opened it.
    pub is_opener: bool,
    /// How far it has come.
    pub phase: ExchangePhase,
    /// Whether what this end sends is complete, or will never be.
    pub has_sent: bool,
    /// Whether what this end receives is complete, or will never be.
    pub has_received: bool,
    /// Bytes of body that this end has taken for sending: of the request if it has opened the exchange, else of the response.
    pub sent_bytes: u64,
    /// Bytes of body that have come.
    pub received_bytes: u64,
    /// What this end may send before the other one has read more, in bytes.
    pub credit: usize,
    /// What has come, and nobody has read yet, in bytes, with the cost of its messages.
    pub unread: usize,
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangePhase {
    /// The head of the response has not come, or has not been sent.
    Waiting,
    /// The response has begun.
    Answering,
    /// It is a stream of another protocol.
    Upgraded,
}

/// What `answered` says.
const RESPONSE: u8 = 1;
const SWITCH: u8 = 2;

impl Exchange {
    pub(crate) fn set_answered(&self, status: StatusCode) {
        let answered = match status {
            StatusCode::SWITCHING_PROTOCOLS => SWITCH,
            _ => RESPONSE,
        };
        self.answered.store(answered, Ordering::Relaxed);
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn status(&self, now: Instant) -> ExchangeStatus {
        let state = lock(&self.state);
        let phase = match (self.opener, self.answered.load(Ordering::Relaxed)) {
            (true, _) if state.upgrade == Upgrade::Done => ExchangePhase::Upgraded,
            (true, _) if !matches!(state.receiving, Receiving::Head) => ExchangePhase::Answering,
            (false, RESPONSE) => ExchangePhase::Answering,
            (false, SWITCH) => ExchangePhase::Upgraded,
            _ => ExchangePhase::Waiting,
        };
        ExchangeStatus {
            id: self.id,
            age: now.saturating_duration_since(self.since),
            protocol: self.protocol,
            rule: self.rule.clone(),
            lane: self.lane.index(),
            is_opener: self.opener,
            phase,
            has_sent: !state.is_send_open(),
            has_received: !state.is_recv_open(),
            sent_bytes: state.sent_bytes,
            received_bytes: state.received_bytes,
            credit: state.send_credit.available(),
            unread: state.recv_credit.unread(),
        }
    }
}
