use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::BoxError;

/// The body of whichever of two services has answered. Its error is boxed, because theirs may differ.
#[pin_project]
pub struct EitherBody<A, B>(#[pin] Either<A, B>);

#[pin_project(project = EitherProj)]
enum Either<A, B> {
    First(#[pin] A),
    Second(#[pin] B),
}

impl<A, B> EitherBody<A, B> {
    #[inline(always)]
    pub(super) const fn first(body: A) -> Self {
        Self(Either::First(body))
    }

    #[inline(always)]
    pub(super) const fn second(body: B) -> Self {
        Self(Either::Second(body))
    }
}

impl<A: Default, B> Default for EitherBody<A, B> {
    fn default() -> Self {
        Self::first(A::default())
    }
}

impl<A, B> Body for EitherBody<A, B>
where
    A: Body<Data = Bytes>,
    A::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().0.project() {
            EitherProj::First(body) => body.poll_frame(cx).map_err(Into::into),
            EitherProj::Second(body) => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Either::First(body) => body.is_end_stream(),
            Either::Second(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Either::First(body) => body.size_hint(),
            Either::Second(body) => body.size_hint(),
        }
    }
}

impl<A, B> fmt::Debug for EitherBody<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Either::First(_) => "EitherBody::First(..)",
            Either::Second(_) => "EitherBody::Second(..)",
        })
    }
}
