//! A body that is told what to give, and tells when it is dropped.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tunnel_core::BoxError;

/// What nobody may print.
pub(crate) const SECRET: &str = "hush-hush-hush";

/// A body of scripted frames.
pub(crate) struct TestBody {
    frames: VecDeque<Frame<Bytes>>,
    hangs: bool,
    alive: Arc<()>,
}

impl TestBody {
    pub(crate) fn empty() -> Self {
        Self::new([])
    }

    /// Two pieces of data and trailers, all of them secret.
    pub(crate) fn full() -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-trailer", SECRET.parse().expect("a valid value"));
        Self::new([
            Frame::data(SECRET.into()),
            Frame::data("second".into()),
            Frame::trailers(trailers),
        ])
    }

    /// One piece, and then nothing for ever.
    pub(crate) fn hanging() -> Self {
        Self {
            hangs: true,
            ..Self::new([Frame::data(SECRET.into())])
        }
    }

    fn new(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Self {
        Self {
            frames: frames.into_iter().collect(),
            hangs: false,
            alive: Arc::new(()),
        }
    }

    /// Dead when the body is dropped.
    pub(crate) fn watch(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    fn data_len(&self) -> u64 {
        self.frames
            .iter()
            .filter_map(Frame::data_ref)
            .map(|data| data.len() as u64)
            .sum()
    }
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            None if self.hangs => Poll::Pending,
            next => Poll::Ready(next.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.hangs
    }

    fn size_hint(&self) -> SizeHint {
        let len = self.data_len();
        if self.hangs {
            let mut hint = SizeHint::new();
            hint.set_lower(len);
            hint
        } else {
            SizeHint::with_exact(len)
        }
    }
}

impl std::fmt::Debug for TestBody {
    /// As careless as a body can be, so that a layer that prints its inner body is found out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestBody")
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}
