use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::BoxError;

use super::classify;
use crate::reject::{Caller, ResponseBody, without_promise};

/// The body of [`Rescue`](super::Rescue)'s responses. For gRPC a failure becomes trailers; its error is that of the wrapped
/// body. Dropping it drops the wrapped body, which cancels what is behind it.
#[pin_project]
pub struct RescueBody<B> {
    /// None after a failure that became trailers, or that came after them.
    #[pin]
    inner: Option<ResponseBody<B>>,
    in_trailers: bool,
    /// The wrapped body's own trailers went out.
    has_told: bool,
}

impl<B> RescueBody<B> {
    pub(super) const fn inner(body: B, in_trailers: bool) -> Self {
        Self {
            inner: Some(ResponseBody::inner(body)),
            in_trailers,
            has_told: false,
        }
    }

    pub(super) const fn reply(body: ResponseBody<B>) -> Self {
        Self {
            inner: Some(body),
            in_trailers: false,
            has_told: false,
        }
    }
}

impl<B> Default for RescueBody<B> {
    fn default() -> Self {
        Self::reply(ResponseBody::empty())
    }
}

impl<B> Body for RescueBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        match ready!(inner.poll_frame(cx)) {
            Some(Err(error)) if *this.in_trailers => {
                // Whatever is behind the body ends before the caller hears of it.
                this.inner.set(None);
                let error = classify(&error.into());
                // The call has its status already, and there is only one.
                let last = (!*this.has_told).then(|| Ok(Frame::trailers(Caller::trailers(&error))));
                Poll::Ready(last)
            }
            frame => {
                *this.has_told |= matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            None => SizeHint::with_exact(0),
            Some(inner) if self.in_trailers && !inner.is_end_stream() => without_promise(&inner.size_hint()),
            Some(inner) => inner.size_hint(),
        }
    }
}

impl<B> fmt::Debug for RescueBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RescueBody")
            .field("in_trailers", &self.in_trailers)
            .finish_non_exhaustive()
    }
}
