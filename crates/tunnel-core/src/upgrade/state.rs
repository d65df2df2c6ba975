//! What the two halves of a stream share.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::Bytes;

use super::{
    ByteStream,
    pong::{PING_BYTES, PongFilter},
};
use crate::{
    error::TunnelError,
    runtime::Runtime,
    sync::{lock, register, wake},
};

/// What is read from a stream at one time, in bytes.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where bytes are read to before it is known how many they are. A stream that waits keeps no buffer, and none is zeroed for
    /// each read.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's scratch. A reader inside of another gets one of its own.
fn with_scratch<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    let scratch = SCRATCH.take();
    let mut scratch = scratch.unwrap_or_else(|| vec![0; READ_BYTES].into());
    let result = read(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

/// How far the direction is that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Open,
    Ended,
    /// The body was dropped before its end.
    Abandoned,
}

pub(super) struct State<T> {
    /// None once both directions are over.
    stream: Option<T>,
    pub(super) reading: Reading,
    pub(super) has_written: bool,
    /// Why the stream is over.
    pub(super) error: Option<TunnelError>,
    /// What a failure of the stream is called.
    pub(super) failure: TunnelError,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// Boxed, because most streams have none.
    pub(super) watch: Option<Box<Watch>>,
}

/// What the writer's half has to know of the other one.
pub(super) struct Watch {
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
    pub(super) fn new(clock: Arc<dyn Runtime>, pong: Option<[u8; PING_BYTES]>) -> Box<Self> {
        let heard = Heard {
            passed: clock.now(),
            waits: None,
        };
        let filter = pong.map(PongFilter::new);
        Box::new(Self { clock, heard, filter })
    }

    pub(super) const fn heard(&self) -> Heard {
        self.heard
    }

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
    pub(super) const fn new(stream: T, failure: TunnelError) -> Self {
        Self {
            stream: Some(stream),
            reading: Reading::Open,
            has_written: false,
            error: None,
            failure,
            reader: None,
            writer: None,
            watch: None,
        }
    }

    /// The stream, or why there is none.
    pub(super) fn stream(&mut self) -> Result<Pin<&mut T>, TunnelError>
    where
        T: Unpin,
    {
        match (&self.error, &mut self.stream) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(stream)) => Ok(Pin::new(stream)),
            (None, None) => Err(self.failure.clone()),
        }
    }

    pub(super) fn fail(&mut self, error: io::Error) -> TunnelError {
        let error = self.failure.clone().with_source(error);
        self.error.get_or_insert(error).clone()
    }

    pub(super) fn is_over(&self) -> bool {
        self.error.is_some() || self.has_written && self.reading == Reading::Ended
    }
}

/// Works on the state. What becomes of it is done when it is not locked any more: the end of the stream, and waking.
pub(super) fn with<T, R>(shared: &Mutex<State<T>>, work: impl FnOnce(&mut State<T>) -> R) -> R {
    let mut state = lock(shared);
    let before = (state.reading, state.error.is_some());
    let result = work(&mut state);
    let is_over = state.stream.is_some() && state.is_over();
    if !is_over && before == (state.reading, state.error.is_some()) {
        return result;
    }
    let over = if is_over { state.stream.take() } else { None };
    let wakers = [state.reader.take(), state.writer.take()];
    drop(state);
    drop(over);
    wakers.into_iter().for_each(wake);
    result
}

impl<T: ByteStream> State<T> {
    /// The next bytes; none at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, TunnelError>> {
        if self.reading == Reading::Ended {
            return Poll::Ready(Ok(Bytes::new()));
        }
        with_scratch(|scratch| self.poll_read_by(scratch, cx))
    }

    fn poll_read_by(&mut self, scratch: &mut [u8], cx: &mut Context<'_>) -> Poll<Result<Bytes, TunnelError>> {
        loop {
            let len = match self.stream()?.poll_read(cx, scratch) {
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
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        if ready!(self.poll_read(cx))?.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // One piece in a turn: this is not urgent.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scratch_is_kept_and_one_inside_of_another_is_another() {
        with_scratch(|outer| {
            outer[0] = 1;
            with_scratch(|inner| assert_eq!((inner[0], inner.len()), (0, READ_BYTES)));
        });
        with_scratch(|again| assert_eq!((again[0], again.len()), (1, READ_BYTES)));
    }
}
