use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::future::Held;
use crate::reject::ResponseBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

/// The body of [`Concurrency`](super::Concurrency)'s responses: it keeps the place until it ends, fails or is dropped.
#[pin_project]
pub struct ConcurrencyBody<B> {
    #[pin]
    inner: ResponseBody<B>,
    held: Option<Held>,
}

impl<B> ConcurrencyBody<B> {
    #[inline(always)]
    pub(super) const fn inner(body: B, held: Option<Held>) -> Self {
        Self {
            inner: ResponseBody::inner(body),
            held,
        }
    }

    pub(super) const fn reply(inner: ResponseBody<B>) -> Self {
        Self { inner, held: None }
    }
}

impl<B> Default for ConcurrencyBody<B> {
    fn default() -> Self {
        Self::reply(ResponseBody::empty())
    }
}

impl<B: Body<Data = Bytes>> Body for ConcurrencyBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if matches!(frame, None | Some(Err(_))) {
            *this.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for ConcurrencyBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyBody")
            .field("holds_place", &self.held.is_some())
            .finish_non_exhaustive()
    }
}
