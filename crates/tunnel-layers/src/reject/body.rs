use std::{
    convert::Infallible,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

/// The body of a response that comes from the wrapped service, or from the layer around it.
///
/// Its error is that of the wrapped body, and it has a default, which is empty, whatever `B` is; so a layer that answers
/// itself composes with layers that ask for either. It never yields an empty data frame of its own.
#[pin_project]
pub struct ResponseBody<B>(#[pin] Kind<B>);

#[pin_project(project = KindProj)]
enum Kind<B> {
    Inner(#[pin] B),
    /// Never `Some` of no bytes.
    Reply(Option<Bytes>),
}

impl<B> ResponseBody<B> {
    /// The body of the wrapped service.
    #[inline(always)]
    pub const fn inner(body: B) -> Self {
        Self(Kind::Inner(body))
    }

    /// A body of these bytes, for an answer of the layer's own.
    pub fn reply(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Reply(if bytes.is_empty() { None } else { Some(bytes) }))
    }

    /// A body without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Reply(None))
    }
}

impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().0.project() {
            KindProj::Inner(body) => body.poll_frame(cx),
            KindProj::Reply(bytes) => Poll::Ready(mem::take(bytes).map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Inner(body) => body.is_end_stream(),
            Kind::Reply(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Inner(body) => body.size_hint(),
            Kind::Reply(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Inner(_) => "ResponseBody::Inner(..)",
            Kind::Reply(_) => "ResponseBody::Reply(..)",
        })
    }
}

/// The body of a service that never has one of its own: there is no value of this type.
#[derive(Clone, Copy, Debug)]
pub enum NoBody {}

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match *self {}
    }
}

/// What a body may promise that may end early, in a way that has to be a clean end: no exact size.
#[cfg(any(feature = "auth", feature = "deadline", feature = "rescue"))]
pub(crate) fn without_promise(hint: &SizeHint) -> SizeHint {
    let mut open = SizeHint::new();
    if let Some(upper) = hint.upper() {
        open.set_upper(upper);
    }
    open
}
