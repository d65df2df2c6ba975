//! Bodies of the server.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Interval, interval};

type Next = Poll<Option<Result<Frame<Bytes>, Infallible>>>;

const PIECE: &[u8] = &[b'x'; 64 << 10];

/// So many bytes, in pieces of 64 KiB.
pub(super) struct Pieces(u64);

impl Pieces {
    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Next {
        let bytes = usize::try_from(self.0).unwrap_or(usize::MAX).min(PIECE.len());
        if bytes == 0 {
            return Poll::Ready(None);
        }
        self.0 -= bytes as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..bytes])))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// Bytes without an end, each for itself.
pub(super) struct Drip;

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Next {
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

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Next {
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

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Next {
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
