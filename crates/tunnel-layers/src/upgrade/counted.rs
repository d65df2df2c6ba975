//! What goes to the client on an upgraded stream, counted.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::{BoxError, Record};

/// A body whose bytes, and whose failure, are noted in a record, if there is one.
#[pin_project]
pub(super) struct Counted<B> {
    #[pin]
    inner: B,
    record: Option<Record>,
}

impl<B> Counted<B> {
    pub(super) const fn new(inner: B, record: Option<Record>) -> Self {
        Self { inner, record }
    }
}

impl<B> Body for Counted<B>
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
        let this = self.project();
        let frame = this.inner.poll_frame(cx).map_err(Into::into);
        if let (Some(record), Poll::Ready(Some(frame))) = (this.record, &frame) {
            match frame {
                Ok(frame) => record.add_sent(frame.data_ref().map_or(0, Bytes::len)),
                Err(error) => record.note_error(&**error),
            }
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
