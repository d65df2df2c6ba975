//! Who tells how an exchange goes on, and that it has ended.

use std::{
    fmt, mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body::Body;
use tokio::time::Instant;
use tunnel_core::{
    Lifetime, Record, Recorded, RequestId, TunnelError,
    route::Arrival,
    upgrade::{Relayed, Switched},
};

use super::{
    Asked, Wire,
    exchange::{Bodies, Exchange, First, Way, lock, note_any, trace_of},
};
use crate::clock;

static CONTENT_LENGTH: HeaderName = header::CONTENT_LENGTH;

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
    let started = arrival.map_or_else(clock::now, |Arrival(at)| Instant::from_std(*at));
    let mut watched = Watched::spare(started);
    let Watched {
        exchange,
        shared,
        record,
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
        let record = record.take();
        extensions.insert(record.unwrap_or_else(|| Record::from(Arc::clone(shared))));
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
pub(super) struct Watched {
    pub(super) exchange: Exchange,
    pub(super) shared: Arc<Recorded<Bodies>>,
    /// What the request gets. Made when the last exchange has ended, when what it points to has just been looked at: to count a reference
    /// to what has been left alone for a while takes longer than all the rest of a beginning.
    pub(super) record: Option<Record>,
    /// Where the exchange goes if it becomes a stream that nobody sees here.
    pub(super) lifetime: Option<Lifetime>,
    /// The bodies are a stream, and each of them ends by itself: it is over when both have.
    pub(super) is_stream: bool,
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
        // What is behind this has worked, maybe without waiting.
        exchange.first_byte = Some(clock::renew() - exchange.started);
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

impl Watched {
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

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("is_over", &self.0.is_none())
            .finish_non_exhaustive()
    }
}
