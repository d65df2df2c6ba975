//! What failed in a body that tonic-web reads, of which it would keep nothing but the text.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tunnel_core::{BoxError, Cause, Initiator, Record, TunnelError};

/// The failure of one body, on its way around tonic-web.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<BoxError>>>);

impl Failure {
    fn put(&self, error: BoxError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What `status` stands for: the failure of the body, else tonic-web's own, which only base64 can cause.
    pub(super) fn of(&self, status: tonic::Status) -> BoxError {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.unwrap_or_else(|| {
            let text = "the body is no base64, as its content type says";
            TunnelError::new(Cause::Malformed, Initiator::Caller, text)
                .with_source(status)
                .into()
        })
    }
}

/// A body that leaves its failure where it is found again.
#[pin_project]
pub(super) struct Watched<B> {
    #[pin]
    inner: B,
    failure: Failure,
    record: Option<Record>,
}

impl<B> Watched<B> {
    pub(super) const fn new(inner: B, failure: Failure) -> Self {
        Self {
            inner,
            failure,
            record: None,
        }
    }

    /// The same; the status in its trailers is noted, if there is a record.
    pub(super) fn noting(self, record: Option<Record>) -> Self {
        Self { record, ..self }
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.project();
        let frame = this.inner.poll_frame(cx);
        if let (Some(record), Poll::Ready(Some(Ok(frame)))) = (this.record, &frame)
            && let Some(trailers) = frame.trailers_ref()
        {
            note_status(record, trailers);
        }
        frame.map_err(|error| {
            this.failure.put(error.into());
            Broken
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Notes the `grpc-status` of these headers or trailers, if they have one.
pub(super) fn note_status(record: &Record, headers: &HeaderMap) {
    let status = headers.get("grpc-status").and_then(|status| status.to_str().ok());
    if let Some(status) = status.and_then(|status| status.parse().ok()) {
        record.note_grpc_status(status);
    }
}

/// Stands for a failure that was put aside.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off")
    }
}

impl std::error::Error for Broken {}
