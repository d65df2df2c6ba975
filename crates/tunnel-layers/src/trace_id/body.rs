use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tracing::Span;

use crate::{reject::ResponseBody, trace::watch::Watch};

/// The body of [`Traced`](super::Traced)'s responses: it keeps the span open until it ends, fails or is dropped.
#[pin_project]
pub struct TracedBody<B> {
    #[pin]
    inner: ResponseBody<B>,
    /// None if nobody listens.
    open: Option<Box<Span>>,
    watch: Option<Box<Watch>>,
}

impl<B> TracedBody<B> {
    /// A body that is polled in `open`, if there is one.
    #[inline(always)]
    pub(super) const fn new(
        inner: ResponseBody<B>,
        open: Option<Box<Span>>,
        watch: Option<Box<Watch>>,
    ) -> Self {
        Self { inner, open, watch }
    }
}

impl<B> Default for TracedBody<B> {
    fn default() -> Self {
        Self::new(ResponseBody::empty(), None, None)
    }
}

impl<B: Body<Data = Bytes>> Body for TracedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let entered = this.open.as_ref().map(|span| span.enter());
        let frame = this.inner.as_mut().poll_frame(cx);
        drop(entered);
        if let Some(watch) = this.watch
            && watch.saw(&frame, this.inner.is_end_stream(), |_| None)
        {
            *this.watch = None;
        }
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            *this.open = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for TracedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedBody")
            .field("open", &self.open.is_some())
            .finish_non_exhaustive()
    }
}
