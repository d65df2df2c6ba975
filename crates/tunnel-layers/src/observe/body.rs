use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project::{pin_project, pinned_drop};

use super::exchange::{Exchange, Guard};

/// The body of a request that is watched: its bytes are counted.
#[pin_project]
pub struct RequestBody<B> {
    #[pin]
    inner: B,
    /// None once it has ended, or if nobody watches.
    exchange: Option<Arc<Exchange>>,
}

impl<B> RequestBody<B> {
    pub(super) const fn new(inner: B, exchange: Arc<Exchange>) -> Self {
        Self {
            inner,
            exchange: Some(exchange),
        }
    }

    /// One that nobody watches.
    pub(crate) const fn unwatched(inner: B) -> Self {
        Self {
            inner,
            exchange: None,
        }
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
        match (&frame, &this.exchange) {
            (Some(Ok(frame)), Some(exchange)) => {
                exchange.add_received(frame.data_ref().map_or(0, Buf::remaining));
            }
            (Some(Err(_)), Some(exchange)) => {
                exchange.note_stream_broken();
                *this.exchange = None;
            }
            (None, _) => *this.exchange = None,
            (Some(_), None) => {}
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
    guard: Option<Guard>,
}

impl<B: Body> ResponseBody<B> {
    pub(super) const fn new(inner: B, guard: Guard) -> Self {
        Self {
            inner: Some(inner),
            guard: Some(guard),
        }
    }

    /// One of an exchange whose end is seen elsewhere.
    pub(super) const fn unwatched(inner: B) -> Self {
        Self {
            inner: Some(inner),
            guard: None,
        }
    }
}

impl<B: Body> Default for ResponseBody<B> {
    fn default() -> Self {
        Self {
            inner: None,
            guard: None,
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
        let Some(guard) = this.guard else {
            return Poll::Ready(frame);
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    guard.sent(data.remaining());
                }
                if let Some(trailers) = frame.trailers_ref() {
                    guard.trailers(trailers);
                } else if inner.is_end_stream() {
                    guard.complete();
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
        let is_whole = this.inner.as_pin_mut().is_none_or(|inner| inner.is_end_stream());
        if let (Some(guard), true) = (this.guard, is_whole) {
            guard.complete();
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
