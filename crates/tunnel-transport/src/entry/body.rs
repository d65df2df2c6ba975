use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::{pin_project, pinned_drop};
use tunnel_core::BoxError;

use crate::{
    entry::{executor::Mark, io::AbortFlag},
    net::poll_nonempty_frame,
};

/// A response body on its way to hyper: without empty data frames, and with a failure that the client can see even where
/// only the end of the connection marks the end of the body.
#[pin_project(PinnedDrop)]
pub(super) struct EntryBody<B> {
    #[pin]
    inner: B,
    /// There only if hyper may end this body by closing the connection.
    abort: Option<AbortFlag>,
    /// hyper has begun to send it. A body that it never polls (HEAD, 204, 304) may be dropped at any time.
    started: bool,
}

impl<B> EntryBody<B> {
    pub(super) fn new(inner: B, abort: Option<AbortFlag>) -> Self {
        Self {
            inner,
            abort,
            started: false,
        }
    }
}

impl<B> Body for EntryBody<B>
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
        *this.started = true;
        let frame = poll_nonempty_frame(this.inner.as_mut(), cx);
        Mark::of(&frame).leave();
        let frame = ready!(frame);
        if this.abort.is_some() {
            let is_complete = match &frame {
                None => true,
                Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
                Some(Err(_)) => false,
            };
            if is_complete {
                *this.abort = None;
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[pinned_drop]
impl<B> PinnedDrop for EntryBody<B> {
    fn drop(self: Pin<&mut Self>) {
        // Failed, or dropped half way, by a panic for instance.
        if let (true, Some(abort)) = (self.started, &self.abort) {
            abort.raise();
        }
    }
}
