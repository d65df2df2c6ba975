use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project::{pin_project, pinned_drop};

use super::{
    exchange::Way,
    guard::{Guard, Half},
};

/// The body of a request that is watched: its bytes are counted.
#[pin_project]
pub struct RequestBody<B> {
    #[pin]
    inner: B,
    half: Half,
}

impl<B> RequestBody<B> {
    #[inline]
    pub(crate) const fn new(inner: B, half: Half) -> Self {
        Self { inner, half }
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => this.half.received(frame.data_ref().map_or(0, Buf::remaining)),
            Some(Err(_)) => this.half.ended(Way::Dropped),
            None => this.half.ended(Way::Complete),
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

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody(..)")
    }
}

/// The body of a response that is watched: its bytes are counted, and the exchange ends when it does, when it fails, or when it is
/// dropped.
#[pin_project(PinnedDrop)]
pub struct ResponseBody<B: Body> {
    /// None for a body that nobody has given.
    #[pin]
    inner: Option<B>,
    guard: Guard,
}

impl<B: Body> ResponseBody<B> {
    #[inline]
    pub(super) const fn new(inner: B, guard: Guard) -> Self {
        Self {
            inner: Some(inner),
            guard,
        }
    }
}

impl<B: Body> Default for ResponseBody<B> {
    fn default() -> Self {
        Self {
            inner: None,
            guard: Guard::none(),
        }
    }
}

impl<B: Body> Body for ResponseBody<B>
where
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        let guard = this.guard;
        if guard.is_none() {
            return Poll::Ready(frame);
        }
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    guard.trailers(trailers);
                } else {
                    let bytes = frame.data_ref().map_or(0, Buf::remaining);
                    guard.sent(bytes, || inner.is_end_stream());
                }
            }
            Some(Err(error)) => guard.failed(error),
            None => guard.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = SizeHint::with_exact(0);
        self.inner.as_ref().map_or(none, Body::size_hint)
    }
}

#[pinned_drop]
impl<B: Body> PinnedDrop for ResponseBody<B> {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        if !this.guard.is_none() && this.inner.as_pin_mut().is_none_or(|inner| inner.is_end_stream()) {
            this.guard.complete();
        }
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
