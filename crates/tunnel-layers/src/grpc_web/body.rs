use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::BoxError;

use super::{failure::Failure, format::Encoding};

/// The body of a request or a response that was translated, or passes as it is. Its error is boxed, because theirs differ.
#[pin_project]
pub struct WebBody<B>(#[pin] Kind<B>);

#[pin_project(project = KindProj)]
enum Kind<B> {
    Plain(#[pin] B),
    /// Boxed, because most bodies pass as they are.
    Translated(Box<Translated>),
}

struct Translated {
    body: tonic::body::Body,
    failure: Failure,
    /// What tonic-web says of the length of a body is that of the one before.
    is_as_long: bool,
    ended: bool,
}

impl<B> WebBody<B> {
    #[inline(always)]
    pub(super) const fn plain(body: B) -> Self {
        Self(Kind::Plain(body))
    }

    /// The body of a request, which is as long as before unless it is text.
    pub(super) fn request(body: tonic::body::Body, content: Encoding, failure: Failure) -> Self {
        Self::translated(body, failure, content == Encoding::Binary)
    }

    /// The body of a response, which ends with trailers now.
    pub(super) fn response(body: tonic::body::Body, failure: Failure) -> Self {
        Self::translated(body, failure, false)
    }

    fn translated(body: tonic::body::Body, failure: Failure, is_as_long: bool) -> Self {
        let ended = body.is_end_stream();
        Self(Kind::Translated(Box::new(Translated {
            body,
            failure,
            is_as_long,
            ended,
        })))
    }
}

impl<B: Default> Default for WebBody<B> {
    fn default() -> Self {
        Self::plain(B::default())
    }
}

impl<B> Body for WebBody<B>
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
        match self.project().0.project() {
            KindProj::Plain(body) => body.poll_frame(cx).map_err(Into::into),
            KindProj::Translated(translated) => translated.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            Kind::Translated(translated) => translated.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            Kind::Translated(translated) => translated.size_hint(),
        }
    }
}

impl Translated {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let frame = frame.map_err(|status| self.failure.of(status));
        self.ended = matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.is_as_long && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match (self.ended, self.is_as_long) {
            (true, _) => SizeHint::with_exact(0),
            (false, true) => self.body.size_hint(),
            (false, false) => SizeHint::new(),
        }
    }
}

impl<B> fmt::Debug for WebBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Plain(_) => "WebBody::Plain(..)",
            Kind::Translated(_) => "WebBody::Translated(..)",
        })
    }
}
