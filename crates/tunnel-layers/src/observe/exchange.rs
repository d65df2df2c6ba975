//! One exchange, until it is over.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use tokio::time::Instant;
use tunnel_core::{
    BoxError, Cause, Found, Initiator, Lifetime, Notes, Record, Recorded, RequestId, TraceId, TunnelError,
    upgrade::{Relayed, Switched},
};

use super::Wire;
use crate::reject::CAUSE_HEADER;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static CONTENT_LENGTH: HeaderName = header::CONTENT_LENGTH;
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// No status, and no length.
const NONE: u32 = u32::MAX;
const UNKNOWN: u64 = u64::MAX;

/// It is over.
const OVER: u8 = 1;
/// The bodies are a stream, and each of them ends by itself: it is over when both have.
const STREAM: u8 = 2;
/// A body of the stream has broken off.
const BROKEN: u8 = 4;
/// The request's body has ended, or was dropped.
const RECEIVED: u8 = 8;
/// The response's body has ended, or was dropped.
const SENT: u8 = 16;

/// What a layer makes of an exchange.
pub(crate) trait Watch: Send + Sync + 'static {
    /// More may be known now than before: called when the request has gone inward, and when the response's head is there.
    fn progressed(&self, notes: &Notes);

    /// It is over. Called once, whatever happens.
    fn ended(&self, ended: &Ended<'_>);
}

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

impl Ended<'_> {
    /// The word for what failed, if anything did.
    pub(crate) fn cause(&self, found: &Found) -> Option<&'static str> {
        match (&found.failure, self.way) {
            (Some(failure), _) => Some(failure.cause().word()),
            (None, Way::Complete) => None,
            // An error that is not the tunnel's.
            (None, Way::Failed) if self.first_byte.is_some() => Some(Cause::Upstream.word()),
            (None, Way::Failed) => Some(Cause::Internal.word()),
            (None, Way::Dropped) => Some(Cause::Canceled.word()),
        }
    }
}

/// What is asked of layers further in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// What counting needs.
    Counts,
    /// Everything that they find out.
    All,
}

/// One exchange.
pub(crate) struct Exchange<W: Watch + ?Sized = dyn Watch> {
    started: Instant,
    /// Nanoseconds until the response's head was there; 0 before.
    first_byte: AtomicU64,
    /// Counted by the request's body alone.
    received: AtomicU64,
    /// Counted by the response's body alone.
    sent: AtomicU64,
    /// The length of the response's body, as far as it is known beforehand.
    length: AtomicU64,
    grpc: AtomicU32,
    status: AtomicU16,
    state: AtomicU8,
    head_only: bool,
    wire: Wire,
    /// Where the exchange goes if it becomes a stream.
    lifetime: Mutex<Option<Lifetime>>,
    /// The record of a layer further out, which is then that of this one as well.
    outer: Option<Record>,
    watch: W,
}

/// An exchange, and the notes of it. All clones are one.
#[derive(Clone)]
pub(super) struct Shared(Arc<Recorded<Exchange>>);

/// The exchange of this request: what its body tells, and what ends it.
pub(crate) fn begin<B, W: Watch>(
    request: &mut Request<B>,
    wire: Wire,
    wants: Wants,
    watch: W,
) -> (Half, Guard) {
    let head_only = request.method() == Method::HEAD;
    let trace = match wants {
        Wants::Counts => None,
        Wants::All => trace_of(request.headers()),
    };
    let extensions = request.extensions_mut();
    let outer = extensions
        .get::<Record>()
        .is_some()
        .then(|| Record::of(extensions));
    let is_inner = outer.is_some();
    let lifetime = wire.is_upgrade().then(|| Lifetime::of(extensions));
    let exchange = Arc::new(Recorded::new(
        wants == Wants::All,
        Exchange {
            started: Instant::now(),
            first_byte: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            length: AtomicU64::new(UNKNOWN),
            grpc: AtomicU32::new(NONE),
            status: AtomicU16::new(0),
            state: AtomicU8::new(0),
            head_only,
            wire,
            lifetime: Mutex::new(lifetime),
            outer,
            watch,
        },
    ));
    if !is_inner {
        extensions.insert(Record::from(exchange.clone()));
    }
    let shared = Shared(exchange);
    if wants == Wants::All {
        // At the agent, both are known before anything else is.
        if let Some(id) = extensions.get::<RequestId>() {
            shared.notes().note_id(*id);
        }
        if let Some(trace) = trace {
            shared.notes().note_trace(trace);
        }
    }
    (Half(Some(shared.clone())), Guard(Some(shared)))
}

/// The trace of a request that says so in its head (W3C Trace Context, section 3.2). Further in, `TraceIdLayer` may know better.
fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    TraceId::from_text(headers.get(&TRACEPARENT)?.as_bytes().get(3..35)?)
}

impl Shared {
    #[inline]
    fn exchange(&self) -> &Exchange {
        self.0.kept()
    }

    #[inline]
    fn notes(&self) -> &Notes {
        match &self.exchange().outer {
            Some(outer) => outer,
            None => self.0.notes(),
        }
    }

    fn progressed(&self) {
        self.exchange().watch.progressed(self.notes());
    }

    /// Says this of it as well; with what was said before.
    fn say(&self, more: u8) -> u8 {
        self.exchange().state.fetch_or(more, AcqRel)
    }

    /// A body has ended, in this way. It matters to a stream alone.
    fn half(&self, which: u8, way: Way) {
        if !self.exchange().wire.is_upgrade() {
            return;
        }
        let broken = if way == Way::Complete { 0 } else { BROKEN };
        let all = self.say(which | broken) | which | broken;
        if all & STREAM != 0 && all & (RECEIVED | SENT) == RECEIVED | SENT {
            let is_broken = all & BROKEN != 0;
            self.end(if is_broken { Way::Dropped } else { Way::Complete });
        }
    }

    /// The exchange is over. Where it is no stream, nobody but the [`Guard`] says so, and that once.
    fn end(&self, way: Way) {
        if self.exchange().wire.is_upgrade() && self.say(OVER) & OVER != 0 {
            return;
        }
        let (exchange, notes) = (self.exchange(), self.notes());
        let (received, sent) = notes.stream_bytes();
        let grpc = Some(exchange.grpc.load(Relaxed)).filter(|code| *code != NONE);
        let grpc = grpc.or_else(|| {
            let is_asked = exchange.wire.is_grpc();
            is_asked.then(|| notes.look(|found| found.grpc_status)).flatten()
        });
        let first_byte = exchange.first_byte.load(Relaxed);
        exchange.watch.ended(&Ended {
            duration: exchange.started.elapsed(),
            first_byte: (first_byte > 0).then(|| Duration::from_nanos(first_byte)),
            received: received + exchange.received.load(Relaxed),
            sent: sent + exchange.sent.load(Relaxed),
            status: StatusCode::from_u16(exchange.status.load(Relaxed)).ok(),
            grpc,
            notes,
            way,
        });
    }

    /// The status of a call, and the tunnel's word for what failed, where headers or trailers have them.
    fn read_status(&self, headers: &HeaderMap) {
        if !self.exchange().wire.is_grpc() {
            return;
        }
        let Some(status) = headers.get(&GRPC_STATUS) else {
            return;
        };
        if let Some(code) = status.to_str().ok().and_then(|code| code.parse().ok()) {
            self.exchange().grpc.store(code, Relaxed);
        }
        let word = headers.get(&CAUSE_HEADER).and_then(|word| word.to_str().ok());
        if let Some(cause) = word.and_then(Cause::from_word) {
            self.notes()
                .note_failure(&TunnelError::new(cause, Initiator::Tunnel, cause.word()));
        }
    }
}

/// Adds to what nobody else adds to.
#[inline]
fn add(count: &AtomicU64, bytes: usize) -> u64 {
    let sum = count.load(Relaxed) + bytes as u64;
    count.store(sum, Relaxed);
    sum
}

/// The request's body, as far as the exchange is concerned. Dropping it says that it has ended. None once it has, and if nobody watches.
pub(crate) struct Half(Option<Shared>);

impl Half {
    /// That of what nobody watches.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    #[inline]
    pub(super) fn received(&self, bytes: usize) {
        if let Some(shared) = &self.0 {
            add(&shared.exchange().received, bytes);
        }
    }

    pub(super) fn ended(&mut self, way: Way) {
        if let Some(shared) = self.0.take() {
            shared.half(RECEIVED, way);
        }
    }
}

impl Drop for Half {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.ended(Way::Complete);
        }
    }
}

/// Ends an exchange when it is dropped, as one that was given up, unless it has ended before. None once it is over, and if nobody
/// watches.
#[derive(Default)]
pub(crate) struct Guard(Option<Shared>);

impl Guard {
    /// That of what nobody watches.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(super) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// More may be known now.
    #[inline]
    pub(crate) fn progressed(&self) {
        if let Some(shared) = &self.0 {
            shared.progressed();
        }
    }

    /// The response's head is there.
    pub(super) fn answered<RB: http_body::Body>(&mut self, response: &Response<RB>) {
        let Some(shared) = &self.0 else { return };
        let exchange = shared.exchange();
        let elapsed = exchange.started.elapsed();
        // Enough for 580 years.
        let nanos = elapsed.as_secs().wrapping_mul(1_000_000_000) + u64::from(elapsed.subsec_nanos());
        exchange.first_byte.store(nanos.max(1), Relaxed);
        exchange.status.store(response.status().as_u16(), Relaxed);
        // The tunnel's own answers have a bad status, but for those to calls.
        if exchange.wire.is_grpc() || !response.status().is_success() {
            shared.read_status(response.headers());
            if let Some(error) = response.extensions().get::<TunnelError>() {
                shared.notes().note_failure(error);
            }
        }
        shared.progressed();
        if exchange.wire.is_upgrade() && self.upgraded(response) {
            return;
        }
        let Some(shared) = &self.0 else { return };
        let exchange = shared.exchange();
        // Most bodies know. Where one does not, the head may.
        let length = response.body().size_hint().exact().or_else(|| {
            let length = response.headers().get(&CONTENT_LENGTH)?;
            length.to_str().ok()?.parse().ok()
        });
        exchange.length.store(length.unwrap_or(UNKNOWN), Relaxed);
        // A body that has something to come has not ended.
        let has_more = !exchange.head_only && length.is_some_and(|length| length > 0);
        if !has_more && response.body().is_end_stream() {
            self.over(Way::Complete);
        }
    }

    /// Whether the protocol was switched; then the stream ends the exchange, or both bodies.
    fn upgraded<RB>(&mut self, response: &Response<RB>) -> bool {
        let Some(shared) = &self.0 else { return false };
        let held = &shared.exchange().lifetime;
        let Some(lifetime) = held.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return false;
        };
        let is_switched = is::<Switched>(response.extensions());
        if is::<Relayed>(response.extensions())
            || response.status() == StatusCode::SWITCHING_PROTOCOLS && !is_switched
        {
            if let Some(shared) = self.0.take() {
                lifetime.hold(OfStream(shared));
            }
            return true;
        }
        if is_switched {
            shared.say(STREAM);
        }
        is_switched
    }

    /// So many bytes have been taken, behind which the body says whether it has ended. It is not asked where its length tells what is to
    /// come.
    #[inline]
    pub(super) fn sent(&mut self, bytes: usize, has_ended: impl FnOnce() -> bool) {
        let Some(shared) = &self.0 else { return };
        let exchange = shared.exchange();
        let sent = add(&exchange.sent, bytes);
        let length = exchange.length.load(Relaxed);
        if sent >= length || length == UNKNOWN {
            // Behind the bytes of a call there may be its status.
            if sent == length && !exchange.wire.is_grpc() || has_ended() {
                self.complete();
            }
        }
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(shared) = &self.0 {
            shared.read_status(trailers);
        }
        self.over(Way::Complete);
    }

    pub(super) fn failed<E: 'static>(&mut self, error: &E) {
        if let Some(shared) = &self.0 {
            note_any(shared.notes(), error);
        }
        self.over(Way::Failed);
    }

    pub(super) fn complete(&mut self) {
        self.over(Way::Complete);
    }

    fn over(&mut self, way: Way) {
        if let Some(shared) = self.0.take() {
            if shared.exchange().state.load(Relaxed) & STREAM != 0 {
                // The other direction may go on.
                shared.half(SENT, way);
            } else {
                shared.end(way);
            }
        }
    }
}

/// A body may be left alone when all of it has been taken: hyper does so at the end of the announced length, and after a HEAD.
impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.dropped();
        }
    }
}

impl Guard {
    fn dropped(&mut self) {
        if let Some(shared) = &self.0 {
            let exchange = shared.exchange();
            let has_answer = exchange.first_byte.load(Relaxed) > 0;
            let is_all = exchange.length.load(Relaxed) == exchange.sent.load(Relaxed);
            let is_whole = has_answer && (exchange.head_only || is_all);
            self.over(if is_whole { Way::Complete } else { Way::Dropped });
        }
    }
}

/// Kept as long as an upgraded stream.
struct OfStream(Shared);

impl Drop for OfStream {
    fn drop(&mut self) {
        self.0.end(Way::Complete);
    }
}

fn is<T: Send + Sync + 'static>(extensions: &Extensions) -> bool {
    extensions.get::<T>().is_some()
}

/// Notes the tunnel's error in an error of whatever type, if it is one in which one may stand.
fn note_any<E: 'static>(notes: &Notes, error: &E) {
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

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("is_over", &self.0.is_none())
            .finish_non_exhaustive()
    }
}
