//! A stream and a body that do what a test says.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::ByteStream;
use crate::{
    error::TunnelError,
    sync::{lock, register, wake},
};

/// The other side of a stream.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<WireState>>);

#[derive(Default)]
struct WireState {
    input: VecDeque<u8>,
    /// What comes behind the input: the end, or an error.
    input_end: Option<Option<io::ErrorKind>>,
    output: Vec<u8>,
    room: usize,
    broken: Option<io::ErrorKind>,
    writes: usize,
    unflushed: usize,
    is_shut: bool,
    is_dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    /// A side that takes everything.
    pub(super) fn new() -> (Self, WireStream) {
        let wire = Self::default();
        wire.room(usize::MAX);
        (wire.clone(), WireStream(wire))
    }

    pub(super) fn say(&self, bytes: &[u8]) {
        self.change(|state| state.input.extend(bytes));
    }

    pub(super) fn end(&self) {
        self.change(|state| state.input_end = Some(None));
    }

    pub(super) fn reset(&self) {
        self.change(|state| {
            state.input_end = Some(Some(io::ErrorKind::ConnectionReset));
            state.broken = Some(io::ErrorKind::BrokenPipe);
        });
    }

    /// Only writing shows it.
    pub(super) fn refuse(&self) {
        self.change(|state| state.broken = Some(io::ErrorKind::BrokenPipe));
    }

    /// Takes so many bytes more.
    pub(super) fn room(&self, bytes: usize) {
        self.change(|state| state.room = bytes);
    }

    /// What came and was flushed.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut state = lock(&self.0);
        assert_eq!(state.unflushed, 0, "written, and not flushed");
        std::mem::take(&mut state.output)
    }

    pub(super) fn writes(&self) -> usize {
        lock(&self.0).writes
    }

    pub(super) fn is_shut(&self) -> bool {
        lock(&self.0).is_shut
    }

    pub(super) fn is_dropped(&self) -> bool {
        lock(&self.0).is_dropped
    }

    fn change(&self, change: impl FnOnce(&mut WireState)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().for_each(wake);
    }
}

pub(super) struct WireStream(Wire);

impl ByteStream for WireStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0.0);
        let len = state.input.len().min(buf.len());
        if len == 0 {
            return match state.input_end {
                Some(None) => Poll::Ready(Ok(0)),
                Some(Some(error)) => Poll::Ready(Err(error.into())),
                None => {
                    register(&mut state.reader, cx.waker());
                    Poll::Pending
                }
            };
        }
        for (slot, byte) in buf.iter_mut().zip(state.input.drain(..len)) {
            *slot = byte;
        }
        Poll::Ready(Ok(len))
    }

    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0.0);
        assert!(!state.is_shut, "written after the shutdown");
        if let Some(error) = state.broken {
            return Poll::Ready(Err(error.into()));
        }
        let len = bytes.len().min(state.room);
        if len == 0 {
            register(&mut state.writer, cx.waker());
            return Poll::Pending;
        }
        if state.room < usize::MAX {
            state.room -= len;
        }
        state.output.extend_from_slice(&bytes[..len]);
        state.unflushed += len;
        state.writes += 1;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0.0).unflushed = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.0);
        assert_eq!(state.unflushed, 0, "shut down before the flush");
        state.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for WireStream {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.is_dropped = true;
        // Nobody flushes it any more.
        state.unflushed = 0;
    }
}

/// What feeds a body.
#[derive(Clone, Default)]
pub(super) struct Source(Arc<Mutex<SourceState>>);

#[derive(Default)]
struct SourceState {
    frames: VecDeque<Bytes>,
    end: Option<Result<(), TunnelError>>,
    waker: Option<Waker>,
    is_dropped: bool,
}

impl Source {
    pub(super) fn new() -> (Self, SourceBody) {
        let source = Self::default();
        (source.clone(), SourceBody(source))
    }

    pub(super) fn give(&self, bytes: impl Into<Bytes>) {
        self.change(|state| state.frames.push_back(bytes.into()));
    }

    pub(super) fn end(&self) {
        self.change(|state| state.end = Some(Ok(())));
    }

    /// What was not taken is lost, as in a tunnel.
    pub(super) fn fail(&self, error: TunnelError) {
        self.change(|state| {
            state.frames.clear();
            state.end = Some(Err(error));
        });
    }

    /// Pieces that nobody has taken.
    pub(super) fn left(&self) -> usize {
        lock(&self.0).frames.len()
    }

    pub(super) fn is_dropped(&self) -> bool {
        lock(&self.0).is_dropped
    }

    fn change(&self, change: impl FnOnce(&mut SourceState)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }
}

pub(super) struct SourceBody(Source);

impl Body for SourceBody {
    type Data = Bytes;
    type Error = TunnelError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        let mut state = lock(&self.0.0);
        if let Some(bytes) = state.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                register(&mut state.waker, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for SourceBody {
    fn drop(&mut self) {
        lock(&self.0.0).is_dropped = true;
    }
}
