//! A byte stream, and its two halves.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{
    pong::PING_BYTES,
    state::{Heard, Reading, State, Watch, with},
};
use crate::{
    error::TunnelError,
    runtime::Runtime,
    sync::{lock, register},
};

/// A byte stream in both directions, such as an upgraded connection. Reading and writing wake their own tasks.
pub trait ByteStream: Send + Unpin + 'static {
    /// Reads into `buf`, and says how many bytes: none when the other side has closed its direction. What `buf` has before says
    /// nothing.
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
    let shared = Arc::new(Mutex::new(State::new(stream, TunnelError::canceled())));
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
            state.watch = Some(Watch::new(clock, pong));
        });
    }

    /// What was heard, if it is noted.
    pub(super) fn heard(&self) -> Option<Heard> {
        lock(&self.0).watch.as_ref().map(|watch| watch.heard())
    }

    /// How far the other direction is. Remembers the waker for when that changes.
    pub(super) fn reading(&self, cx: &mut Context<'_>) -> Result<Reading, TunnelError> {
        let mut state = lock(&self.0);
        if let Some(error) = &state.error {
            return Err(error.clone());
        }
        register(&mut state.writer, cx.waker());
        Ok(state.reading)
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
