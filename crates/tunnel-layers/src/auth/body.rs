//! The bodies on both sides of [`Auth`](super::Auth).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::BoxError;

use super::{expiry::expired, forward::PrincipalHeader};
use crate::reject::{Caller, ResponseBody, without_promise};

/// The body of the requests that [`Auth`](super::Auth) passes on: the caller's, without trailers that would be taken for the
/// principal's name. A trailer section of which nothing is left is none.
#[pin_project]
pub struct CleanBody<B> {
    #[pin]
    inner: B,
    header: Option<Arc<PrincipalHeader>>,
}

impl<B> CleanBody<B> {
    pub(super) const fn new(inner: B, header: Option<Arc<PrincipalHeader>>) -> Self {
        Self { inner, header }
    }

    /// The caller's body as it came.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Body> Body for CleanBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        match (this.header, this.inner.poll_frame(cx)) {
            (Some(header), Poll::Ready(Some(Ok(frame)))) => Poll::Ready(clean(frame, header).map(Ok)),
            (_, frame) => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn clean<D>(mut frame: Frame<D>, header: &PrincipalHeader) -> Option<Frame<D>> {
    let Some(trailers) = frame.trailers_mut() else {
        return Some(frame);
    };
    header.strip(trailers);
    (!trailers.is_empty()).then_some(frame)
}

impl<B> fmt::Debug for CleanBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleanBody")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// The body of [`Auth`](super::Auth)'s responses. Its error is boxed: the wrapped body's, or a
/// [`TunnelError`](tunnel_core::TunnelError) when the caller's credentials have expired and the layer
/// [ends what outlives them](super::AuthLayer::end_at_expiry).
#[pin_project]
pub struct AuthBody<B> {
    /// None when the credentials have expired.
    #[pin]
    inner: Option<ResponseBody<B>>,
    /// Boxed for its size: most exchanges outlive their credentials.
    end: Option<Pin<Box<Sleep>>>,
    in_trailers: bool,
}

impl<B> AuthBody<B> {
    #[inline(always)]
    pub(super) fn inner(body: B, end: Option<Instant>, in_trailers: bool) -> Self {
        Self {
            inner: Some(ResponseBody::inner(body)),
            end: end.map(|end| Box::pin(sleep_until(end))),
            in_trailers,
        }
    }

    pub(super) const fn reply(body: ResponseBody<B>) -> Self {
        Self {
            inner: Some(body),
            end: None,
            in_trailers: false,
        }
    }
}

impl<B> Default for AuthBody<B> {
    fn default() -> Self {
        Self::reply(ResponseBody::empty())
    }
}

impl<B> Body for AuthBody<B>
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
        let Some(end) = this.end else {
            return inner.poll_frame(cx).map_err(Into::into);
        };
        // The time first: a body that always has more would never come to it.
        if !inner.is_end_stream() && end.as_mut().poll(cx).is_ready() {
            this.inner.set(None);
            return Poll::Ready(Some(if *this.in_trailers {
                Ok(Frame::trailers(Caller::trailers(&expired())))
            } else {
                Err(expired().into())
            }));
        }
        let frame = inner.poll_frame(cx);
        if !matches!(&frame, Poll::Pending | Poll::Ready(Some(Ok(_)))) || is_trailers(&frame) {
            *this.end = None;
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            None => SizeHint::with_exact(0),
            Some(inner) if self.in_trailers && self.end.is_some() && !inner.is_end_stream() => {
                without_promise(&inner.size_hint())
            }
            Some(inner) => inner.size_hint(),
        }
    }
}

fn is_trailers<E>(frame: &Poll<Option<Result<Frame<Bytes>, E>>>) -> bool {
    matches!(frame, Poll::Ready(Some(Ok(frame))) if frame.is_trailers())
}

impl<B> fmt::Debug for AuthBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthBody")
            .field("ends", &self.end.is_some())
            .field("in_trailers", &self.in_trailers)
            .finish_non_exhaustive()
    }
}
