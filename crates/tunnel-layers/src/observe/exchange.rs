//! One exchange, until it is over.

use std::{
    any::Any,
    cell::RefCell,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body::Body;
use tokio::time::Instant;
use tunnel_core::{
    BoxError, Cause, Found, Initiator, Lifetime, Notes, Record, Recorded, RequestId, TraceId, TunnelError,
    route::Arrival,
    upgrade::{Relayed, Switched},
};

use super::{Asked, Wire, watchers::Watchers};
use crate::reject::CAUSE_HEADER;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static CONTENT_LENGTH: HeaderName = header::CONTENT_LENGTH;
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
    fn of_both(self, other: Self) -> Self {
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
struct Exchange {
    started: Instant,
    /// How long it took until the response's head was there.
    first_byte: Option<Duration>,
    sent: u64,
    /// The length of the response's body, as far as it is known beforehand.
    length: Option<u64>,
    grpc: Option<u32>,
    status: Option<StatusCode>,
    wire: Wire,
    head_only: bool,
    /// The record of a layer further out, which is then that of this one as well.
    outer: Option<Record>,
    watchers: Watchers,
}

/// What both bodies of an exchange know, beside the notes.
#[derive(Default)]
struct Bodies {
    /// Counted by the request's body alone.
    received: AtomicU64,
    /// Whether the exchange may become a stream. Said once, before anybody asks.
    is_upgrade: AtomicBool,
    first: Mutex<First>,
}

/// Which direction of a stream has ended before the other, and how.
#[derive(Default)]
enum First {
    #[default]
    Neither,
    Received(Way),
    /// The exchange waits here for the other direction.
    Sent(Box<Exchange>, Way),
}

/// The exchange of this request: what its body tells, and what ends it.
pub(crate) fn begin<B: Body>(request: &mut Request<B>, wire: Wire, asked: Asked<'_>) -> (Half, Guard) {
    let head_only = request.method() == Method::HEAD;
    let is_full = asked.wants_all();
    let trace = if is_full {
        trace_of(request.headers())
    } else {
        None
    };
    // A body that has nothing to come tells nothing, but for its end, which matters to a stream.
    let is_told = wire.is_upgrade() || !request.body().is_end_stream();
    let extensions = request.extensions_mut();
    let outer = extensions
        .get::<Record>()
        .is_some()
        .then(|| Record::of(extensions));
    let arrival = extensions.get::<Arrival>();
    let started = arrival.map_or_else(Instant::now, |Arrival(at)| Instant::from_std(*at));
    let mut watched = Watched::spare(started);
    let Watched {
        exchange,
        shared,
        lifetime,
        is_stream,
    } = &mut *watched;
    exchange.restart(started, wire, head_only);
    exchange.watchers.restart(asked, wire);
    if !is_full {
        shared.notes().be_brief();
    }
    shared.kept().is_upgrade.store(wire.is_upgrade(), Relaxed);
    if outer.is_none() {
        exchange.watchers.begin();
        extensions.insert(Record::from(Arc::clone(shared)));
    }
    exchange.outer = outer;
    if is_full {
        let notes = exchange.notes(shared);
        // At the agent, both are known before anything else is.
        if let Some(id) = extensions.get::<RequestId>() {
            notes.note_id(*id);
        }
        if let Some(trace) = trace {
            notes.note_trace(trace);
        }
    }
    *lifetime = wire.is_upgrade().then(|| Lifetime::of(extensions));
    *is_stream = false;
    let half = Half(is_told.then(|| Arc::clone(shared)));
    (half, Guard(Some(watched)))
}

/// The trace of a request that says so in its head (W3C Trace Context, section 3.2). Further in, `TraceIdLayer` may know better.
fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    TraceId::from_text(headers.get(&TRACEPARENT)?.as_bytes().get(3..35)?)
}

impl Exchange {
    fn new(started: Instant) -> Self {
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
    fn restart(&mut self, started: Instant, wire: Wire, head_only: bool) {
        self.started = started;
        (self.first_byte, self.sent, self.length) = (None, 0, None);
        (self.grpc, self.status) = (None, None);
        (self.wire, self.head_only) = (wire, head_only);
    }

    #[inline]
    fn notes<'a>(&'a self, shared: &'a Recorded<Bodies>) -> &'a Notes {
        notes(self.outer.as_ref(), shared)
    }

    #[inline]
    fn progressed(&mut self, shared: &Recorded<Bodies>) {
        self.watchers.progressed(notes(self.outer.as_ref(), shared));
    }

    /// It is over.
    fn end(&mut self, shared: &Recorded<Bodies>, way: Way) {
        let notes = notes(self.outer.as_ref(), shared);
        let (received, sent) = notes.stream_bytes();
        let grpc = self.grpc.or_else(|| {
            let is_asked = self.wire.is_grpc();
            is_asked.then(|| notes.look(|found| found.grpc_status)).flatten()
        });
        self.watchers.ended(&Ended {
            duration: self.started.elapsed(),
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
    fn read_status(&mut self, shared: &Recorded<Bodies>, headers: &HeaderMap) {
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

/// The request's body has ended, in this way. It matters to a stream alone.
fn received(shared: &Recorded<Bodies>, way: Way) {
    if !shared.kept().is_upgrade.load(Relaxed) {
        return;
    }
    let before = mem::replace(&mut *lock(shared), First::Received(way));
    if let First::Sent(mut exchange, other) = before {
        exchange.end(shared, way.of_both(other));
    }
}

/// The request's body, as far as the exchange is concerned. Dropping it says that it has ended. None once it has, and if nobody watches.
pub(crate) struct Half(Option<Arc<Recorded<Bodies>>>);

impl Half {
    /// That of what nobody watches.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    #[inline]
    pub(super) fn received(&self, bytes: usize) {
        if let Some(shared) = &self.0 {
            // Nobody else adds to it.
            let count = &shared.kept().received;
            count.store(count.load(Relaxed) + bytes as u64, Relaxed);
        }
    }

    pub(super) fn ended(&mut self, way: Way) {
        if let Some(shared) = self.0.take() {
            received(&shared, way);
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
pub(crate) struct Guard(Option<Box<Watched>>);

/// An exchange that has not ended. Boxed, because futures and bodies are moved again and again.
struct Watched {
    exchange: Exchange,
    shared: Arc<Recorded<Bodies>>,
    /// Where the exchange goes if it becomes a stream that nobody sees here.
    lifetime: Option<Lifetime>,
    /// The bodies are a stream, and each of them ends by itself: it is over when both have.
    is_stream: bool,
}

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
    pub(super) fn progressed(&mut self) {
        if let Some(Watched { exchange, shared, .. }) = self.0.as_deref_mut() {
            exchange.progressed(shared);
        }
    }

    /// The response's head is there.
    pub(super) fn answered<RB: Body>(&mut self, response: &Response<RB>) {
        let Some(Watched { exchange, shared, .. }) = self.0.as_deref_mut() else {
            return;
        };
        exchange.first_byte = Some(exchange.started.elapsed());
        exchange.status = Some(response.status());
        // The tunnel's own answers have a bad status, but for those to calls.
        if exchange.wire.is_grpc() || !response.status().is_success() {
            exchange.read_status(shared, response.headers());
            if let Some(error) = response.extensions().get::<TunnelError>() {
                exchange.notes(shared).note_failure(error);
            }
        }
        exchange.progressed(shared);
        if exchange.wire.is_upgrade() && self.upgraded(response) {
            return;
        }
        let Some(Watched { exchange, .. }) = self.0.as_deref_mut() else {
            return;
        };
        // Most bodies know. Where one does not, the head may.
        exchange.length = response.body().size_hint().exact().or_else(|| {
            let length = response.headers().get(&CONTENT_LENGTH)?;
            length.to_str().ok()?.parse().ok()
        });
        // A body that has something to come has not ended.
        let has_more = !exchange.head_only && exchange.length.is_some_and(|length| length > 0);
        if !has_more && response.body().is_end_stream() {
            self.over(Way::Complete);
        }
    }

    /// Whether the protocol was switched; then the stream ends the exchange, or both bodies.
    fn upgraded<RB>(&mut self, response: &Response<RB>) -> bool {
        let is_switched = is::<Switched>(response.extensions());
        let is_stream = is::<Relayed>(response.extensions())
            || response.status() == StatusCode::SWITCHING_PROTOCOLS && !is_switched;
        if is_stream {
            if let Some(mut watched) = self.0.take()
                && let Some(lifetime) = watched.lifetime.take()
            {
                lifetime.hold(OfStream(watched));
            }
        } else if is_switched && let Some(watched) = &mut self.0 {
            watched.lifetime = None;
            watched.is_stream = true;
        }
        is_stream || is_switched
    }

    /// So many bytes have been taken, behind which the body says whether it has ended. It is not asked where its length tells what is to
    /// come.
    #[inline]
    pub(super) fn sent(&mut self, bytes: usize, has_ended: impl FnOnce() -> bool) {
        let Some(Watched { exchange, .. }) = self.0.as_deref_mut() else {
            return;
        };
        exchange.sent += bytes as u64;
        let left = exchange.length.map(|length| length.checked_sub(exchange.sent));
        let is_over = match left {
            // Behind the bytes of a call there may be its status.
            Some(Some(0)) => !exchange.wire.is_grpc() || has_ended(),
            Some(Some(_)) => false,
            // More than was announced, or nobody knows.
            Some(None) | None => has_ended(),
        };
        if is_over {
            self.complete();
        }
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(Watched { exchange, shared, .. }) = self.0.as_deref_mut() {
            exchange.read_status(shared, trailers);
        }
        self.over(Way::Complete);
    }

    pub(super) fn failed<E: 'static>(&mut self, error: &E) {
        if let Some(Watched { exchange, shared, .. }) = self.0.as_deref() {
            note_any(exchange.notes(shared), error);
        }
        self.over(Way::Failed);
    }

    pub(super) fn complete(&mut self) {
        self.over(Way::Complete);
    }

    fn over(&mut self, way: Way) {
        let Some(mut watched) = self.0.take() else {
            return;
        };
        if watched.is_stream {
            watched.sent(way);
        } else {
            watched.exchange.end(&watched.shared, way);
            watched.leave();
        }
    }
}

/// How many exchanges that have ended a thread keeps for those that begin. Each takes about 400 bytes.
const MAX_SPARE: usize = 64;

thread_local! {
    /// What exchanges have left to the next ones of this thread: to allocate it, and to count the references in it, takes as long as all
    /// that is counted of an exchange.
    #[allow(clippy::vec_box, reason = "what is kept is the allocation")]
    static SPARE: RefCell<Vec<Box<Watched>>> = const { RefCell::new(Vec::new()) };
}

impl Watched {
    /// One of which nothing is known.
    fn spare(started: Instant) -> Box<Self> {
        // A thread that ends has none.
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        spare.ok().flatten().unwrap_or_else(|| {
            Box::new(Self {
                exchange: Exchange::new(started),
                shared: Arc::default(),
                lifetime: None,
                is_stream: false,
            })
        })
    }

    /// It is over, and stays for the next one, unless somebody still has its record.
    fn leave(mut self: Box<Self>) {
        let Bodies {
            received,
            is_upgrade,
            first: _,
        } = self.shared.kept();
        if is_upgrade.load(Relaxed) || !Recorded::forget(&self.shared) {
            let Some(recorded) = Arc::get_mut(&mut self.shared) else {
                return;
            };
            *recorded = Recorded::default();
        } else {
            // Without an upgrade, nobody has noted which direction was first.
            received.store(0, Relaxed);
        }
        self.exchange.outer = None;
        self.exchange.watchers.clear();
        self.lifetime = None;
        // What is too much is dropped where nothing is borrowed.
        let mut left = Some(self);
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MAX_SPARE {
                spare.extend(left.take());
            }
        });
    }

    /// The response's body has ended, in this way, as one direction of a stream. The other may go on.
    fn sent(self, way: Way) {
        let Self {
            mut exchange, shared, ..
        } = self;
        let mut first = lock(&shared);
        if let First::Received(other) = *first {
            drop(first);
            exchange.end(&shared, way.of_both(other));
        } else {
            *first = First::Sent(Box::new(exchange), way);
        }
    }
}

fn lock(shared: &Recorded<Bodies>) -> MutexGuard<'_, First> {
    let first = &shared.kept().first;
    first.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(Watched { exchange, .. }) = self.0.as_deref() {
            let is_all = exchange.length == Some(exchange.sent);
            let is_whole = exchange.first_byte.is_some() && (exchange.head_only || is_all);
            self.over(if is_whole { Way::Complete } else { Way::Dropped });
        }
    }
}

/// Kept as long as an upgraded stream.
struct OfStream(Box<Watched>);

impl Drop for OfStream {
    fn drop(&mut self) {
        let Watched { exchange, shared, .. } = &mut *self.0;
        exchange.end(shared, Way::Complete);
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
