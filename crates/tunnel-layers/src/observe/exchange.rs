//! One exchange, until it is over.

use std::{
    any::Any,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::Instant;
use tunnel_core::{BoxError, Cause, Found, Initiator, Notes, Record, Recorded, TraceId, TunnelError};

use super::{Wire, watchers::Watchers};
use crate::{clock, reject::CAUSE_HEADER};

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// An exchange that has ended.
pub(crate) struct Ended<'a> {
    /// How long it took.
    pub(crate) duration: Duration,
    /// How long it took until the response's head was there, if it ever was.
    pub(crate) first_byte: Option<Duration>,
    /// The bytes of the request's body, and of what came on the upgraded stream.
    pub(crate) received: u64,
    /// The bytes of the response's body, and of what went out on the upgraded stream.
    pub(crate) sent: u64,
    pub(crate) status: Option<StatusCode>,
    pub(crate) grpc: Option<u32>,
    pub(crate) notes: &'a Notes,
    way: Way,
}

/// How an exchange ended, as far as bodies and futures show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Complete,
    Failed,
    Dropped,
}

impl Way {
    /// That of a stream whose directions ended in these ways.
    pub(super) fn of_both(self, other: Self) -> Self {
        if self == Self::Complete && other == Self::Complete {
            Self::Complete
        } else {
            Self::Dropped
        }
    }
}

impl Ended<'_> {
    /// Why it failed, if anything did; `failure` is what the tunnel noted.
    pub(crate) fn cause(&self, failure: Option<Cause>) -> Option<Cause> {
        match (failure, self.way) {
            (Some(cause), _) => Some(cause),
            (None, Way::Complete) => None,
            // An error that is not the tunnel's.
            (None, Way::Failed) if self.first_byte.is_some() => Some(Cause::Upstream),
            (None, Way::Failed) => Some(Cause::Internal),
            (None, Way::Dropped) => Some(Cause::Canceled),
        }
    }
}

/// The cause of what the tunnel noted as failed.
pub(crate) fn failure(found: &Found) -> Option<Cause> {
    found.failure.as_ref().map(TunnelError::cause)
}

/// One exchange. It belongs to whoever ends it, so nothing of it is shared.
pub(super) struct Exchange {
    pub(super) started: Instant,
    /// How long it took until the response's head was there.
    pub(super) first_byte: Option<Duration>,
    pub(super) sent: u64,
    /// The length of the response's body, as far as it is known beforehand.
    pub(super) length: Option<u64>,
    pub(super) grpc: Option<u32>,
    pub(super) status: Option<StatusCode>,
    pub(super) wire: Wire,
    pub(super) head_only: bool,
    /// The record of a layer further out, which is then that of this one as well.
    pub(super) outer: Option<Record>,
    pub(super) watchers: Watchers,
}

/// What both bodies of an exchange know, beside the notes.
#[derive(Default)]
pub(super) struct Bodies {
    /// Counted by the request's body alone.
    pub(super) received: AtomicU64,
    /// Whether the exchange may become a stream. Said once, before anybody asks.
    pub(super) is_upgrade: AtomicBool,
    pub(super) first: Mutex<First>,
}

/// Which direction of a stream has ended before the other, and how.
#[derive(Default)]
pub(super) enum First {
    #[default]
    Neither,
    Received(Way),
    /// The exchange waits here for the other direction.
    Sent(Box<Exchange>, Way),
}

/// The trace of a request that says so in its head (W3C Trace Context, section 3.2). Further in, `TraceIdLayer` may know better.
pub(super) fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    TraceId::from_text(headers.get(&TRACEPARENT)?.as_bytes().get(3..35)?)
}

impl Exchange {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            first_byte: None,
            sent: 0,
            length: None,
            grpc: None,
            status: None,
            wire: Wire::Http,
            head_only: false,
            outer: None,
            watchers: Watchers::default(),
        }
    }

    /// It is another one, of which nothing is known yet.
    pub(super) fn restart(&mut self, started: Instant, wire: Wire, head_only: bool) {
        self.started = started;
        (self.first_byte, self.sent, self.length) = (None, 0, None);
        (self.grpc, self.status) = (None, None);
        (self.wire, self.head_only) = (wire, head_only);
    }

    #[inline]
    pub(super) fn notes<'a>(&'a self, shared: &'a Recorded<Bodies>) -> &'a Notes {
        notes(self.outer.as_ref(), shared)
    }

    #[inline]
    pub(super) fn progressed(&mut self, shared: &Recorded<Bodies>) {
        self.watchers.progressed(notes(self.outer.as_ref(), shared));
    }

    /// It is over.
    pub(super) fn end(&mut self, shared: &Recorded<Bodies>, way: Way) {
        let notes = notes(self.outer.as_ref(), shared);
        let (received, sent) = notes.stream_bytes();
        let grpc = self.grpc.or_else(|| {
            let is_asked = self.wire.is_grpc();
            is_asked.then(|| notes.look(|found| found.grpc_status)).flatten()
        });
        self.watchers.ended(&Ended {
            duration: clock::now() - self.started,
            first_byte: self.first_byte,
            received: received + shared.kept().received.load(Relaxed),
            sent: sent + self.sent,
            status: self.status,
            grpc,
            notes,
            way,
        });
    }

    /// The status of a call, and the tunnel's word for what failed, where headers or trailers have them.
    pub(super) fn read_status(&mut self, shared: &Recorded<Bodies>, headers: &HeaderMap) {
        if !self.wire.is_grpc() {
            return;
        }
        let Some(status) = headers.get(&GRPC_STATUS) else {
            return;
        };
        if let Some(code) = status.to_str().ok().and_then(|code| code.parse().ok()) {
            self.grpc = Some(code);
        }
        let word = headers.get(&CAUSE_HEADER).and_then(|word| word.to_str().ok());
        if let Some(cause) = word.and_then(Cause::from_word) {
            self.notes(shared)
                .note_failure(&TunnelError::new(cause, Initiator::Tunnel, cause.word()));
        }
    }
}

/// Where an exchange is noted.
#[inline]
fn notes<'a>(outer: Option<&'a Record>, shared: &'a Recorded<Bodies>) -> &'a Notes {
    outer.map_or(shared.notes(), |outer| outer)
}

/// Notes the tunnel's error in an error of whatever type, if it is one in which one may stand.
pub(super) fn note_any<E: 'static>(notes: &Notes, error: &E) {
    let error: &dyn Any = error;
    if let Some(error) = error.downcast_ref::<TunnelError>() {
        notes.note_failure(error);
    } else if let Some(error) = error.downcast_ref::<BoxError>() {
        notes.note_error(&**error);
    }
    #[cfg(feature = "axum")]
    if let Some(error) = error.downcast_ref::<axum::Error>() {
        notes.note_error(error);
    }
}

pub(super) fn lock(shared: &Recorded<Bodies>) -> MutexGuard<'_, First> {
    let first = &shared.kept().first;
    first.lock().unwrap_or_else(PoisonError::into_inner)
}
