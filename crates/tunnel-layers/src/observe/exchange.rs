//! One exchange, until it is over.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use tokio::time::Instant;
use tunnel_core::{
    BoxError, Cause, Found, Initiator, Lifetime, Record, RequestId, TraceId, TunnelError,
    upgrade::{Relayed, Switched},
};

use super::{RequestBody, ResponseBody, Wire};
use crate::reject::CAUSE_HEADER;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// No status.
const NONE: u32 = u32::MAX;

/// What a layer makes of an exchange.
pub(crate) trait Watch: Send + Sync + 'static {
    /// More may be known now than before: called when the request has gone inward, and when the response's head is there.
    fn progressed(&self, record: &Record);

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
    pub(crate) record: &'a Record,
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

/// One exchange. Dropping the last reference ends it at the latest.
pub(crate) struct Exchange<W: Watch + ?Sized = dyn Watch> {
    started: Instant,
    /// Nanoseconds until the response's head was there; 0 before.
    first_byte: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    status: AtomicU16,
    grpc: AtomicU32,
    is_over: AtomicBool,
    /// The bodies are a stream, and each of them ends by itself: it is over with the last reference.
    is_stream: AtomicBool,
    /// A body of the stream has broken off.
    is_broken: AtomicBool,
    record: Record,
    wire: Wire,
    watch: W,
}

/// The exchange of this request, whose body is counted from here on, and what ends it.
pub(crate) fn begin<B, W: Watch>(
    mut request: Request<B>,
    wire: Wire,
    watch: W,
) -> (Request<RequestBody<B>>, Guard) {
    let head_only = request.method() == Method::HEAD;
    let headers_trace = trace_of(request.headers());
    let extensions = request.extensions_mut();
    let record = Record::of(extensions);
    // At the agent, both are known before anything else is.
    if let Some(id) = extensions.get::<RequestId>() {
        record.note_id(*id);
    }
    if let Some(trace) = headers_trace {
        record.note_trace(trace);
    }
    let lifetime = wire.is_upgrade().then(|| Lifetime::of(extensions));
    let exchange: Arc<Exchange> = Arc::new(Exchange {
        started: Instant::now(),
        first_byte: AtomicU64::new(0),
        received: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        status: AtomicU16::new(0),
        grpc: AtomicU32::new(NONE),
        is_over: AtomicBool::new(false),
        is_stream: AtomicBool::new(false),
        is_broken: AtomicBool::new(false),
        record,
        wire,
        watch,
    });
    let request = request.map(|body| RequestBody::new(body, Arc::clone(&exchange)));
    let guard = Guard {
        exchange: Some(exchange),
        lifetime,
        head_only,
        length: None,
    };
    (request, guard)
}

/// The trace of a request that says so in its head (W3C Trace Context, section 3.2). Further in, `TraceIdLayer` may know better.
fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    TraceId::from_text(headers.get(&TRACEPARENT)?.as_bytes().get(3..35)?)
}

impl<W: Watch + ?Sized> Exchange<W> {
    pub(super) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn note_stream_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    fn end(&self, way: Way) {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        let (received, sent) = self.record.stream_bytes();
        let grpc = Some(self.grpc.load(Ordering::Relaxed)).filter(|code| *code != NONE);
        let grpc = grpc.or_else(|| {
            let is_asked = self.wire.is_grpc();
            is_asked
                .then(|| self.record.look(|found| found.grpc_status))
                .flatten()
        });
        let first_byte = self.first_byte.load(Ordering::Relaxed);
        self.watch.ended(&Ended {
            duration: self.started.elapsed(),
            first_byte: (first_byte > 0).then(|| Duration::from_nanos(first_byte)),
            received: received + self.received.load(Ordering::Relaxed),
            sent: sent + self.sent.load(Ordering::Relaxed),
            status: StatusCode::from_u16(self.status.load(Ordering::Relaxed)).ok(),
            grpc,
            record: &self.record,
            way,
        });
    }

    /// The status of a call, and the tunnel's word for what failed, where headers or trailers have them.
    fn read_status(&self, headers: &HeaderMap) {
        if !self.wire.is_grpc() {
            return;
        }
        let Some(status) = headers.get(&GRPC_STATUS) else {
            return;
        };
        if let Some(code) = status.to_str().ok().and_then(|code| code.parse().ok()) {
            self.grpc.store(code, Ordering::Relaxed);
        }
        let word = headers.get(&CAUSE_HEADER).and_then(|word| word.to_str().ok());
        if let Some(cause) = word.and_then(Cause::from_word) {
            self.record
                .note_failure(&TunnelError::new(cause, Initiator::Tunnel, cause.word()));
        }
    }
}

impl<W: Watch + ?Sized> Drop for Exchange<W> {
    fn drop(&mut self) {
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        self.end(if is_broken { Way::Dropped } else { Way::Complete });
    }
}

/// Ends an exchange when it is dropped, as one that was given up, unless it has ended before.
pub(crate) struct Guard {
    /// None once it is over.
    exchange: Option<Arc<Exchange>>,
    /// Where the guard goes if the exchange becomes a stream.
    lifetime: Option<Lifetime>,
    head_only: bool,
    /// What the response's head says of the length of its body.
    length: Option<u64>,
}

impl Guard {
    /// More may be known now.
    pub(crate) fn progressed(&self) {
        if let Some(exchange) = &self.exchange {
            exchange.watch.progressed(&exchange.record);
        }
    }

    /// The response is there, or the call has failed.
    pub(super) fn answered<RB: http_body::Body, E: 'static>(
        mut self,
        result: Result<Response<RB>, E>,
    ) -> Result<Response<ResponseBody<RB>>, E> {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                self.failed(&error);
                return Err(error);
            }
        };
        let Some(exchange) = &self.exchange else {
            return Ok(response.map(|body| ResponseBody::new(body, self)));
        };
        let elapsed = u64::try_from(exchange.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        exchange.first_byte.store(elapsed.max(1), Ordering::Relaxed);
        exchange
            .status
            .store(response.status().as_u16(), Ordering::Relaxed);
        exchange.read_status(response.headers());
        if let Some(error) = response.extensions().get::<TunnelError>() {
            exchange.record.note_failure(error);
        }
        exchange.watch.progressed(&exchange.record);
        if let Some(body) = self.upgraded(&response) {
            return Ok(response.map(|inner| body.with(inner)));
        }
        if http_body::Body::is_end_stream(response.body()) {
            self.over(Way::Complete);
        }
        let length = response.headers().get(http::header::CONTENT_LENGTH);
        self.length = length
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse().ok());
        Ok(response.map(|body| ResponseBody::new(body, self)))
    }

    /// What becomes of the guard if the protocol was switched.
    fn upgraded<RB>(&mut self, response: &Response<RB>) -> Option<Upgraded> {
        let lifetime = self.lifetime.take()?;
        if is::<Relayed>(response.extensions())
            || response.status() == StatusCode::SWITCHING_PROTOCOLS && !is::<Switched>(response.extensions())
        {
            let exchange = self.exchange.take()?;
            lifetime.hold(OfStream(exchange));
            return Some(Upgraded::Elsewhere);
        }
        if is::<Switched>(response.extensions()) {
            let exchange = self.exchange.as_ref()?;
            exchange.is_stream.store(true, Ordering::Relaxed);
            let exchange = self.exchange.take()?;
            return Some(Upgraded::Here(Self {
                exchange: Some(exchange),
                lifetime: None,
                head_only: false,
                length: None,
            }));
        }
        None
    }

    pub(super) fn sent(&self, bytes: usize) {
        if let Some(exchange) = &self.exchange {
            exchange.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(exchange) = &self.exchange {
            exchange.read_status(trailers);
        }
        self.over(Way::Complete);
    }

    pub(super) fn failed<E: 'static>(&mut self, error: &E) {
        if let Some(exchange) = &self.exchange {
            note_any(&exchange.record, error);
        }
        self.over(Way::Failed);
    }

    pub(super) fn complete(&mut self) {
        self.over(Way::Complete);
    }

    fn over(&mut self, way: Way) {
        if let Some(exchange) = self.exchange.take() {
            if exchange.is_stream.load(Ordering::Relaxed) {
                // The other direction may go on.
                if way != Way::Complete {
                    exchange.note_stream_broken();
                }
            } else {
                exchange.end(way);
            }
        }
    }
}

/// A body may be left alone when all of it has been taken: hyper does so at the end of the announced length, and after a HEAD.
impl Drop for Guard {
    fn drop(&mut self) {
        let sent = self.exchange.as_ref().map(|exchange| {
            let has_answer = exchange.first_byte.load(Ordering::Relaxed) > 0;
            (has_answer, exchange.sent.load(Ordering::Relaxed))
        });
        if let Some((has_answer, sent)) = sent {
            let is_whole = has_answer && (self.head_only || self.length == Some(sent));
            self.over(if is_whole { Way::Complete } else { Way::Dropped });
        }
    }
}

/// What became of the bodies of an exchange that has left HTTP.
enum Upgraded {
    /// The stream is not in the bodies.
    Elsewhere,
    /// The bodies are the stream.
    Here(Guard),
}

impl Upgraded {
    fn with<RB: http_body::Body>(self, inner: RB) -> ResponseBody<RB> {
        match self {
            Self::Elsewhere => ResponseBody::unwatched(inner),
            Self::Here(guard) => ResponseBody::new(inner, guard),
        }
    }
}

/// Kept as long as an upgraded stream.
struct OfStream(Arc<Exchange>);

impl Drop for OfStream {
    fn drop(&mut self) {
        self.0.end(Way::Complete);
    }
}

fn is<T: Send + Sync + 'static>(extensions: &Extensions) -> bool {
    extensions.get::<T>().is_some()
}

/// Notes the tunnel's error in an error of whatever type, if it is one in which one may stand.
fn note_any<E: 'static>(record: &Record, error: &E) {
    let error: &dyn Any = error;
    if let Some(error) = error.downcast_ref::<TunnelError>() {
        record.note_failure(error);
    } else if let Some(error) = error.downcast_ref::<BoxError>() {
        record.note_error(&**error);
    }
    #[cfg(feature = "axum")]
    if let Some(error) = error.downcast_ref::<axum::Error>() {
        record.note_error(error);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("is_over", &self.exchange.is_none())
            .finish_non_exhaustive()
    }
}
