//! Bodies with a known content of any length.

use std::{
    pin::{Pin, pin},
    sync::LazyLock,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, channel};
use tunnel_core::BoxError;

/// A prime, so that no frame, chunk or window size hides that bytes were lost or doubled.
const PERIOD: usize = 65_521;

/// Two periods, so that a whole one can be cut out anywhere.
static TABLE: LazyLock<Bytes> = LazyLock::new(|| {
    let byte = |index: usize| (index % PERIOD).wrapping_mul(2_654_435_761).to_le_bytes()[2];
    (0..2 * PERIOD).map(byte).collect()
});

/// The sizes of the frames, in turn: tiny ones, odd ones, and larger ones than a chunk.
const FRAMES: [usize; 5] = [1, 16_384, PERIOD, 100, 40_000];

/// The feeding end of a body made by [`fed`].
pub type Feed = channel::Sender<Bytes, BoxError>;

/// A body of `len` bytes, which says its length.
pub fn sized(len: u64) -> Body {
    Body::new(Pattern::new(len, true))
}

/// A body of the same bytes, of which nobody knows the length before it ends.
pub fn streamed(len: u64) -> Body {
    Body::new(Pattern::new(len, false))
}

/// A body that the test feeds frame by frame, and the end to feed it with.
pub fn fed() -> (Feed, Body) {
    let (feed, body) = channel::Channel::new(1);
    (feed, Body::new(body))
}

/// Reads `body` to its end, and asserts that it has `len` bytes of the pattern.
///
/// # Panics
///
/// When the body fails, or has other bytes.
pub async fn assert_pattern<B>(body: B, len: u64)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut offset = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Into::into).expect("the body does not break off");
        let Ok(mut data) = frame.into_data() else { continue };
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PERIOD));
            assert_eq!(piece, at(offset, piece.len()), "at offset {offset}");
            offset += piece.len() as u64;
        }
    }
    assert_eq!(offset, len, "the body's length");
}

/// The next data frame of `body`.
///
/// # Panics
///
/// When the body ends or fails instead.
pub async fn next<B>(body: &mut B) -> Bytes
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let frame = body.frame().await.expect("the body has not ended");
    let frame = frame.map_err(Into::into).expect("the body does not break off");
    frame.into_data().expect("a data frame")
}

/// The whole of `body`, without trailers.
///
/// # Panics
///
/// When the body fails.
pub async fn whole<B>(body: B) -> Bytes
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let whole = body.collect().await.map_err(Into::into);
    whole.expect("the body does not break off").to_bytes()
}

/// `len` bytes of the pattern from this offset on, at most a period.
///
/// # Panics
///
/// When it is longer.
#[must_use]
pub fn at(offset: u64, len: usize) -> Bytes {
    let start = (offset % PERIOD as u64) as usize;
    TABLE.slice(start..start + len)
}

struct Pattern {
    offset: u64,
    len: u64,
    is_sized: bool,
    frames: usize,
}

impl Pattern {
    fn new(len: u64, is_sized: bool) -> Self {
        Self {
            offset: 0,
            len,
            is_sized,
            frames: 0,
        }
    }
}

impl http_body::Body for Pattern {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.offset == self.len {
            return Poll::Ready(None);
        }
        let size = FRAMES[self.frames % FRAMES.len()] as u64;
        let data = at(self.offset, size.min(self.len - self.offset) as usize);
        self.offset += data.len() as u64;
        self.frames += 1;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_sized && self.offset == self.len
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_sized {
            SizeHint::with_exact(self.len - self.offset)
        } else {
            SizeHint::default()
        }
    }
}
