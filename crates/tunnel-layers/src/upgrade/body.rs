use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::{
    BoxError, Record,
    upgrade::{DeferredBody, StreamBody},
};

use super::io::Outside;

/// The body of a request behind [`Upgrade`](super::Upgrade): the client's body, or, where it asks for an upgrade, what it sends
/// on the upgraded stream. Dropping it early leaves the stream open for the response.
#[pin_project]
pub struct UpgradeBody<B>(#[pin] Kind<B>);

#[pin_project(project = KindProj)]
enum Kind<B> {
    Plain(#[pin] B),
    Stream(DeferredBody<StreamBody<Outside>>, Option<Record>),
}

impl<B> UpgradeBody<B> {
    pub(super) const fn plain(body: B) -> Self {
        Self(Kind::Plain(body))
    }

    /// What comes on the stream is counted in `record`, if there is one.
    pub(super) const fn stream(body: DeferredBody<StreamBody<Outside>>, record: Option<Record>) -> Self {
        Self(Kind::Stream(body, record))
    }
}

impl<B> Body for UpgradeBody<B>
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
            KindProj::Plain(body) => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            KindProj::Stream(body, record) => Pin::new(body).poll_frame(cx).map(|frame| {
                if let (Some(record), Some(Ok(frame))) = (record, &frame) {
                    record.add_received(frame.data_ref().map_or(0, Bytes::len));
                }
                frame.map(|frame| frame.map_err(Into::into))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            Kind::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            Kind::Stream(body, _) => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for UpgradeBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Plain(_) => "UpgradeBody::Plain(..)",
            Kind::Stream(..) => "UpgradeBody::Stream(..)",
        })
    }
}
