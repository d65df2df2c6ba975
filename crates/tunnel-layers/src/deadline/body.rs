use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::BoxError;

use super::over;
use crate::reject::{Caller, ResponseBody, without_promise};

/// The body of [`Deadline`](super::Deadline)'s responses. Its error is boxed: the wrapped body's, or a
/// [`TunnelError`](tunnel_core::TunnelError) when the time is over.
#[pin_project]
pub struct DeadlineBody<B> {
    /// None when the time is over.
    #[pin]
    inner: Option<ResponseBody<B>>,
    #[pin]
    sleep: Option<Sleep>,
    in_trailers: bool,
}

impl<B> DeadlineBody<B> {
    pub(super) fn inner(body: B, end: Option<Instant>, in_trailers: bool) -> Self {
        Self {
            inner: Some(ResponseBody::inner(body)),
            sleep: end.map(sleep_until),
            in_trailers,
        }
    }

    pub(super) const fn reply(body: ResponseBody<B>) -> Self {
        Self {
            inner: Some(body),
            sleep: None,
            in_trailers: false,
        }
    }
}

impl<B> Default for DeadlineBody<B> {
    fn default() -> Self {
        Self::reply(ResponseBody::empty())
    }
}

impl<B> Body for DeadlineBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        // The time first: a body that always has more would never come to it.
        let sleep = this.sleep.as_mut().as_pin_mut();
        if sleep.is_some_and(|sleep| sleep.poll(cx).is_ready()) && !inner.is_end_stream() {
            this.inner.set(None);
            return Poll::Ready(Some(if *this.in_trailers {
                Ok(Frame::trailers(Caller::trailers(&over())))
            } else {
                Err(over().into())
            }));
        }
        let frame = ready!(inner.poll_frame(cx));
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            // It has ended, but for the word of it.
            this.sleep.set(None);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            None => SizeHint::with_exact(0),
            Some(inner) if self.in_trailers && self.sleep.is_some() && !inner.is_end_stream() => {
                without_promise(&inner.size_hint())
            }
            Some(inner) => inner.size_hint(),
        }
    }
}

impl<B> fmt::Debug for DeadlineBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineBody")
            .field("in_trailers", &self.in_trailers)
            .finish_non_exhaustive()
    }
}
