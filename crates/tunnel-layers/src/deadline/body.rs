use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::{BoxError, TunnelError};

use super::{clocks::Clocks, upload_idle};
use crate::reject::{Caller, ResponseBody, without_promise};

/// The body of [`Deadline`](super::Deadline)'s responses. Its error is boxed: the wrapped body's, or a
/// [`TunnelError`](tunnel_core::TunnelError) when a time is over.
#[pin_project]
pub struct DeadlineBody<B> {
    /// None when a time is over.
    #[pin]
    inner: Option<ResponseBody<B>>,
    /// Boxed, because most of it is a timer. None if nothing ends it early, or nothing does any more.
    clocks: Option<Pin<Box<Clocks>>>,
    /// Whether a piece has come since the time was looked at.
    is_behind: bool,
    in_trailers: bool,
}

impl<B> DeadlineBody<B> {
    pub(super) const fn inner(body: B, clocks: Pin<Box<Clocks>>, in_trailers: bool) -> Self {
        Self {
            inner: Some(ResponseBody::inner(body)),
            clocks: Some(clocks),
            is_behind: false,
            in_trailers,
        }
    }

    #[inline(always)]
    pub(super) const fn unwatched(body: B) -> Self {
        Self::reply(ResponseBody::inner(body))
    }

    pub(super) const fn reply(body: ResponseBody<B>) -> Self {
        Self {
            inner: Some(body),
            clocks: None,
            is_behind: false,
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
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let Some(clocks) = this.clocks else {
            return inner.poll_frame(cx).map_err(Into::into);
        };
        // The time first, but for the first piece: a body that always has more would never come to it.
        let is_behind = mem::take(this.is_behind);
        if is_behind
            && !inner.is_end_stream()
            && let Poll::Ready(error) = clocks.as_mut().poll_body(cx)
        {
            this.inner.set(None);
            return Poll::Ready(Some(tell(&error, *this.in_trailers)));
        }
        let Poll::Ready(frame) = inner.as_mut().poll_frame(cx) else {
            let over = match is_behind {
                true => Poll::Pending,
                false => clocks.as_mut().poll_body(cx),
            };
            let error = match over {
                Poll::Ready(error) => error,
                Poll::Pending => ready!(clocks.as_mut().poll_idle(cx)),
            };
            this.inner.set(None);
            return Poll::Ready(Some(tell(&error, *this.in_trailers)));
        };
        if clocks.has_stopped() && matches!(frame, Some(Err(_))) {
            // What the request's body did to it.
            this.inner.set(None);
            return Poll::Ready(Some(tell(&upload_idle(), *this.in_trailers)));
        }
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            clocks.as_mut().moved();
            *this.is_behind = true;
        } else {
            // It has ended, but for the word of it.
            *this.clocks = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            None => SizeHint::with_exact(0),
            Some(inner) if self.in_trailers && self.clocks.is_some() && !inner.is_end_stream() => {
                without_promise(&inner.size_hint())
            }
            Some(inner) => inner.size_hint(),
        }
    }
}

/// How the caller hears of it once the head is out.
fn tell(error: &TunnelError, in_trailers: bool) -> Result<Frame<Bytes>, BoxError> {
    if in_trailers {
        Ok(Frame::trailers(Caller::trailers(error)))
    } else {
        Err(error.clone().into())
    }
}

impl<B> fmt::Debug for DeadlineBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineBody")
            .field("in_trailers", &self.in_trailers)
            .finish_non_exhaustive()
    }
}
