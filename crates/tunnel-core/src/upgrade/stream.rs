//! A byte stream, and its two halves.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::pong::{PING_BYTES, PongFilter};
use crate::{
    error::TunnelError,
    runtime::Runtime,
    sync::{lock, register, wake},
};

/// What is read from a stream at one time, in bytes, and what is dropped at one time of what nobody wants.
const READ_BYTES: usize = 16 * 1024;

/// A byte stream in both directions, such as an upgraded connection. Reading and writing wake their own tasks.
pub trait ByteStream: Send + Unpin + 'static {
    /// Reads into `buf`, and says how many bytes: none when the other side has closed its direction.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes the beginning of `bytes`, and says how many of them.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sees to it that what was written leaves.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes our direction, after what was written.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Splits `stream` into what it gives and what it takes.
///
/// The two share a lock, which neither keeps while it waits. The stream is dropped, and so closed, as soon as both directions
/// have ended, or one of them has failed: then both have.
pub fn split<T: ByteStream>(stream: T) -> (StreamBody<T>, StreamWriter<T>) {
    let shared = Arc::new(Mutex::new(State {
        stream: Some(stream),
        reading: Reading::Open,
        has_written: false,
        error: None,
        failure: TunnelError::canceled(),
        reader: None,
        writer: None,
        watch: None,
    }));
    let body = StreamBody(Side::Open(Arc::clone(&shared)));
    (body, StreamWriter(shared))
}

/// What a [`ByteStream`] gives, as a body. It ends where the stream ends, and it fails when the stream fails in any direction, or
/// is ended by the writer.
///
/// It keeps no buffer while it waits. Dropping it before its end leaves the stream to the writer, which drops what still comes.
pub struct StreamBody<T: ByteStream>(Side<T>);

enum Side<T: ByteStream> {
    Open(Arc<Mutex<State<T>>>),
    Ended,
    Failed(TunnelError),
}

/// What a [`ByteStream`] takes: for a [`Relay`](super::Relay). Dropping it ends the stream, unless its direction was closed.
pub struct StreamWriter<T: ByteStream>(Arc<Mutex<State<T>>>);

/// How far the direction is that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Open,
    Ended,
    /// The body was dropped before its end.
    Abandoned,
}

struct State<T> {
    /// None once both directions are over.
    stream: Option<T>,
    reading: Reading,
    has_written: bool,
    /// Why the stream is over.
    error: Option<TunnelError>,
    /// What a failure of the stream is called.
    failure: TunnelError,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Boxed, because most streams have none.
    watch: Option<Box<Watch>>,
}

/// What the writer's half has to know of the other one.
struct Watch {
    clock: Arc<dyn Runtime>,
    heard: Heard,
    filter: Option<PongFilter>,
}

/// What was heard from the other side of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// When the last bytes came that passed, or when watching began.
    pub(super) passed: Instant,
    /// Since when somebody waits for bytes of any kind; `None` while nobody does, so that a side that is not asked is not silent.
    pub(super) waits: Option<Instant>,
}

impl Watch {
    fn on_pending(&mut self) {
        if self.heard.waits.is_none() {
            self.heard.waits = Some(self.clock.now());
        }
    }

    /// What of these bytes passes.
    fn on_bytes(&mut self, bytes: &[u8]) -> Bytes {
        let bytes = match &mut self.filter {
            Some(filter) => filter.pass(bytes),
            None => Bytes::copy_from_slice(bytes),
        };
        self.heard.waits = None;
        if !bytes.is_empty() {
            self.heard.passed = self.clock.now();
        }
        bytes
    }

    /// What passes at the end.
    fn on_end(&mut self) -> Bytes {
        let filter = self.filter.as_mut();
        filter.map(PongFilter::finish).unwrap_or_default()
    }
}

impl<T> State<T> {
    /// The stream, or why there is none.
    fn stream(&mut self) -> Result<Pin<&mut T>, TunnelError>
    where
        T: Unpin,
    {
        match (&self.error, &mut self.stream) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(stream)) => Ok(Pin::new(stream)),
            (None, None) => Err(self.failure.clone()),
        }
    }

    fn fail(&mut self, error: io::Error) -> TunnelError {
        let error = self.failure.clone().with_source(error);
        self.error.get_or_insert(error).clone()
    }

    fn is_over(&self) -> bool {
        self.error.is_some() || self.has_written && self.reading == Reading::Ended
    }
}

/// Works on the state. What becomes of it is done when it is not locked any more: the end of the stream, and waking.
fn with<T, R>(shared: &Mutex<State<T>>, work: impl FnOnce(&mut State<T>) -> R) -> R {
    let mut state = lock(shared);
    let before = (state.reading, state.error.is_some());
    let result = work(&mut state);
    let over = if state.is_over() {
        state.stream.take()
    } else {
        None
    };
    let is_news = over.is_some() || before != (state.reading, state.error.is_some());
    let wakers = if is_news {
        [state.reader.take(), state.writer.take()]
    } else {
        [None, None]
    };
    drop(state);
    drop(over);
    wakers.into_iter().for_each(wake);
    result
}

impl<T: ByteStream> State<T> {
    /// The next bytes; none at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, TunnelError>> {
        if self.reading == Reading::Ended {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let mut scratch = [0; READ_BYTES];
        loop {
            let len = match self.stream()?.poll_read(cx, &mut scratch) {
                Poll::Pending => {
                    register(&mut self.reader, cx.waker());
                    self.watch.iter_mut().for_each(|watch| watch.on_pending());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(len)) => len,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(error))),
            };
            let bytes = match &mut self.watch {
                Some(watch) if len > 0 => watch.on_bytes(&scratch[..len]),
                Some(watch) => watch.on_end(),
                None => Bytes::copy_from_slice(&scratch[..len]),
            };
            if len == 0 {
                self.reading = Reading::Ended;
            }
            if len == 0 || !bytes.is_empty() {
                return Poll::Ready(Ok(bytes));
            }
        }
    }

    /// Reads what nobody wants any more. Ready when there is no more of it.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        let mut scratch = [0; READ_BYTES];
        match self.stream()?.poll_read(cx, &mut scratch) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => {
                self.reading = Reading::Ended;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) => {
                // One piece in a turn: this is not urgent.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail(error))),
        }
    }
}

impl<T: ByteStream> StreamBody<T> {
    /// The same body, which fails with `error` when the stream does; the error of the stream is the source of it. It says who
    /// is at the other end; unless this is set, that is the caller, who went away.
    #[must_use]
    pub fn failing_as(self, error: TunnelError) -> Self {
        if let Side::Open(shared) = &self.0 {
            with(shared, |state| state.failure = error);
        }
        self
    }
}

impl<T: ByteStream> Body for StreamBody<T> {
    type Data = Bytes;
    type Error = TunnelError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        let shared = match &self.0 {
            Side::Open(shared) => shared,
            Side::Ended => return Poll::Ready(None),
            Side::Failed(error) => return Poll::Ready(Some(Err(error.clone()))),
        };
        match with(shared, |state| state.poll_read(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                self.0 = Side::Ended;
                Poll::Ready(None)
            }
            Poll::Ready(Ok(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Poll::Ready(Err(error)) => {
                self.0 = Side::Failed(error.clone());
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Side::Ended)
    }
}

impl<T: ByteStream> Drop for StreamBody<T> {
    fn drop(&mut self) {
        if let Side::Open(shared) = &self.0 {
            with(shared, |state| {
                // Whatever it waited for has nobody to wake any more.
                state.reader = None;
                if state.reading == Reading::Open {
                    state.reading = Reading::Abandoned;
                }
            });
        }
    }
}

impl<T: ByteStream> StreamWriter<T> {
    /// Notes from now on what is heard, and when, and takes Pongs with this payload out of it.
    pub(super) fn watch(&self, clock: Arc<dyn Runtime>, pong: Option<[u8; PING_BYTES]>) {
        with(&self.0, |state| {
            let now = clock.now();
            let heard = Heard {
                passed: now,
                waits: None,
            };
            let filter = pong.map(PongFilter::new);
            state.watch = Some(Box::new(Watch { clock, heard, filter }));
        });
    }

    /// What was heard, if it is noted.
    pub(super) fn heard(&self) -> Option<Heard> {
        lock(&self.0).watch.as_ref().map(|watch| watch.heard)
    }

    /// How far the other direction is. Remembers the waker for when that changes.
    pub(super) fn reading(&self, cx: &mut Context<'_>) -> Result<Reading, TunnelError> {
        with(&self.0, |state| {
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            register(&mut state.writer, cx.waker());
            Ok(state.reading)
        })
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, TunnelError>> {
        with(&self.0, |state| {
            let written = match state.stream()?.poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) if !bytes.is_empty() => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                other => other,
            };
            written.map(|result| result.map_err(|error| state.fail(error)))
        })
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        with(&self.0, |state| {
            let flushed = state.stream()?.poll_flush(cx);
            flushed.map(|result| result.map_err(|error| state.fail(error)))
        })
    }

    /// Closes our direction.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        with(&self.0, |state| {
            let closed = state.stream()?.poll_shutdown(cx);
            closed.map(|result| match result {
                Ok(()) => {
                    // While somebody has to drop what still comes, the stream stays.
                    state.has_written = true;
                    Ok(())
                }
                Err(error) => Err(state.fail(error)),
            })
        })
    }

    /// Drops what comes, once the body has been abandoned. Ready at its end.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        with(&self.0, |state| state.poll_discard(cx))
    }

    /// Ends the stream in both directions at once, because of `error`.
    pub(super) fn abort(&self, error: TunnelError) {
        with(&self.0, |state| {
            state.error.get_or_insert(error);
        });
    }
}

impl<T: ByteStream> Drop for StreamWriter<T> {
    fn drop(&mut self) {
        with(&self.0, |state| {
            let is_readers = state.has_written && state.reading == Reading::Open;
            if !is_readers && !state.is_over() {
                let error = state.failure.clone();
                state.error.get_or_insert(error);
            }
        });
    }
}

impl<T: ByteStream> fmt::Debug for StreamBody<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Side::Open(_) => "StreamBody::Open(..)",
            Side::Ended => "StreamBody::Ended",
            Side::Failed(_) => "StreamBody::Failed(..)",
        })
    }
}

impl<T: ByteStream> fmt::Debug for StreamWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamWriter(..)")
    }
}
