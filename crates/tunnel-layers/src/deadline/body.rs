use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::{Sleep, sleep_until};
use tunnel_core::{BoxError, TunnelError};

use super::{idle::Idle, over, response_idle, time::Plan, upload::Upload, upload_idle};
use crate::reject::{Caller, ResponseBody, without_promise};

/// The body of [`Deadline`](super::Deadline)'s responses. Its error is boxed: the wrapped body's, or a
/// [`TunnelError`](tunnel_core::TunnelError) when a time is over.
#[pin_project]
pub struct DeadlineBody<B> {
    /// None when a time is over.
    #[pin]
    inner: Option<ResponseBody<B>>,
    /// Boxed, because most of it is a timer. None if nothing ends it early, or nothing does any more.
    watch: Option<Pin<Box<Watch>>>,
    in_trailers: bool,
}

/// What may end a body early.
#[pin_project]
struct Watch {
    #[pin]
    sleep: Option<Sleep>,
    idle: Idle,
    upload: Option<Upload>,
}

impl Watch {
    fn new(plan: &Plan, upload: Option<Upload>) -> Option<Pin<Box<Self>>> {
        let is_on = plan.end.is_some() || plan.response_idle.is_some() || upload.is_some();
        is_on.then(|| {
            Box::pin(Self {
                sleep: plan.end.map(sleep_until),
                idle: Idle::new(plan.response_idle),
                upload,
            })
        })
    }

    /// Looks at what does not depend on the body.
    fn poll_early(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let this = self.project();
        let sleep = this.sleep.as_pin_mut();
        if sleep.is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            return Poll::Ready(over());
        }
        match this.upload {
            Some(upload) => upload.poll_stopped(cx).map(|()| upload_idle()),
            None => Poll::Pending,
        }
    }
}

impl<B> DeadlineBody<B> {
    pub(super) fn inner(body: B, plan: &Plan, upload: Option<Upload>, in_trailers: bool) -> Self {
        Self {
            inner: Some(ResponseBody::inner(body)),
            watch: Watch::new(plan, upload),
            in_trailers,
        }
    }

    pub(super) const fn unwatched(body: B) -> Self {
        Self::reply(ResponseBody::inner(body))
    }

    pub(super) const fn reply(body: ResponseBody<B>) -> Self {
        Self {
            inner: Some(body),
            watch: None,
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
        let Some(watch) = this.watch else {
            return inner.poll_frame(cx).map_err(Into::into);
        };
        // The time first: a body that always has more would never come to it.
        if !inner.is_end_stream()
            && let Poll::Ready(error) = watch.as_mut().poll_early(cx)
        {
            this.inner.set(None);
            return Poll::Ready(Some(tell(&error, *this.in_trailers)));
        }
        let Poll::Ready(frame) = inner.as_mut().poll_frame(cx) else {
            if watch.as_mut().project().idle.poll_over(cx).is_pending() {
                return Poll::Pending;
            }
            this.inner.set(None);
            return Poll::Ready(Some(tell(&response_idle(), *this.in_trailers)));
        };
        let stopped = watch.upload.as_ref().is_some_and(Upload::has_stopped);
        if stopped && matches!(frame, Some(Err(_))) {
            // What the request's body did to it.
            this.inner.set(None);
            return Poll::Ready(Some(tell(&upload_idle(), *this.in_trailers)));
        }
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            watch.as_mut().project().idle.moved();
        } else {
            // It has ended, but for the word of it.
            *this.watch = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            None => SizeHint::with_exact(0),
            Some(inner) if self.in_trailers && self.watch.is_some() && !inner.is_end_stream() => {
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
