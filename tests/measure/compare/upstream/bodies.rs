//! Bodies of the server.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Interval, Sleep, interval, sleep};

type Polled = Poll<Option<Result<Frame<Bytes>, Infallible>>>;

const PIECE: &[u8] = &[b'x'; 64 << 10];

/// What comes behind the beginning of a body that was [`begun`](Pieces::begun). Longer than any way takes for its first byte.
const PAUSE: Duration = Duration::from_millis(10);

/// What a body begins with.
const BEGINNING: usize = 1 << 10;

/// So many bytes, in pieces of 64 KiB. The first KiB is flushed by itself, so that the time to the first byte is that of the way,
/// and not that of the server, which would fill its buffer first.
pub(super) struct Pieces {
    left: u64,
    next: Next,
    /// How long nothing follows behind the first KiB.
    pause: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy)]
enum Next {
    Beginning,
    Pause,
    Piece,
}

impl Pieces {
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            left: bytes,
            next: Next::Beginning,
            pause: None,
        }
    }

    /// The same, with a pause behind the first KiB. Who waits for more than that, waits for the pause; and the first byte does not
    /// contend with the rest of the body for the processors, which would tell of the scheduler and not of the way.
    pub(super) fn begun(bytes: u64) -> Self {
        Self {
            pause: Some(Box::pin(sleep(PAUSE))),
            ..Self::new(bytes)
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let (most, next) = match self.next {
            Next::Beginning => (BEGINNING, Next::Pause),
            Next::Pause if self.left > 0 => {
                let Some(pause) = &mut self.pause else {
                    self.next = Next::Piece;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                };
                ready!(pause.as_mut().poll(context));
                (PIECE.len(), Next::Piece)
            }
            Next::Pause | Next::Piece => (PIECE.len(), Next::Piece),
        };
        let bytes = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        if bytes == 0 {
            return Poll::Ready(None);
        }
        self.left -= bytes as u64;
        self.next = next;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..bytes])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Bytes without an end, each for itself.
pub(super) struct Drip;

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

/// One byte, and then nothing, not even an end.
pub(super) struct ThenNothing(bool);

impl ThenNothing {
    pub(super) fn new() -> Self {
        Self(false)
    }
}

impl Body for ThenNothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
        if self.0 {
            return Poll::Pending;
        }
        self.0 = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

/// The bytes of a stamp.
pub(crate) const STAMP: usize = 20;

/// Times, each written when it was that time.
pub(super) struct Stamps {
    left: u64,
    pause: Interval,
}

impl Stamps {
    pub(super) fn new(number: u64, pause: Duration) -> Self {
        Self {
            left: number,
            pause: interval(pause),
        }
    }
}

impl Body for Stamps {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.pause.poll_tick(context));
        self.left -= 1;
        let stamp = format!("{:0STAMP$}", nanoseconds());
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(stamp)))))
    }
}

/// The time of the machine, which all of its processes have in common.
pub(crate) fn nanoseconds() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos())
}
