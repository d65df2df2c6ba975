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
    /// Who hears of a failure in trailers, if anybody does. Boxed, because that is gRPC alone.
    told: Option<Box<Caller>>,
    /// The wrapped body's own trailers went out.
    has_told: bool,
}

impl<B> RescueBody<B> {
    #[inline(always)]
    pub(super) const fn inner(body: B, told: Option<Box<Caller>>) -> Self {
        Self {
            inner: Some(ResponseBody::inner(body)),
            told,
            has_told: false,
        }
    }

    pub(super) const fn reply(body: ResponseBody<B>) -> Self {
        Self {
            inner: Some(body),
            told: None,
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
        match (ready!(inner.poll_frame(cx)), this.told) {
            (Some(Err(error)), Some(caller)) => {
                // Whatever is behind the body ends before the caller hears of it.
                this.inner.set(None);
                let error = classify(&error.into(), caller.trace_id());
                // The call has its status already, and there is only one.
                let last = (!*this.has_told).then(|| Ok(Frame::trailers(Caller::trailers(&error))));
                Poll::Ready(last)
            }
            (frame, _) => {
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
            Some(inner) if self.told.is_some() && !inner.is_end_stream() => {
                without_promise(&inner.size_hint())
            }
            Some(inner) => inner.size_hint(),
        }
    }
}

impl<B> fmt::Debug for RescueBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RescueBody")
            .field("in_trailers", &self.told.is_some())
            .finish_non_exhaustive()
    }
}
