//! The request's body on its way in: when it last moved, and whether it has stopped for too long.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Instant;
use tunnel_core::BoxError;

use super::{idle::Idle, upload_idle};

/// What the body of a request and the answer to it know of each other. One allocation for requests with a body of which
/// somebody wants to know how it goes.
#[derive(Clone)]
pub(super) struct Upload(Arc<Mutex<State>>);

struct State {
    idle: Option<Duration>,
    moved: Instant,
    has_stopped: bool,
    /// Whoever waits for the answer.
    waiting: Option<Waker>,
}

impl Upload {
    pub(super) fn new(idle: Option<Duration>) -> Self {
        Self(Arc::new(Mutex::new(State {
            idle,
            moved: Instant::now(),
            has_stopped: false,
            waiting: None,
        })))
    }

    /// When a piece of the body came last.
    pub(super) fn moved(&self) -> Instant {
        self.with(|state| state.moved)
    }

    /// Whether the body has stopped for too long.
    pub(super) fn has_stopped(&self) -> bool {
        self.with(|state| state.has_stopped)
    }

    /// Ready when the body has stopped for too long.
    pub(super) fn poll_stopped(&self, cx: &Context<'_>) -> Poll<()> {
        self.with(|state| {
            if state.has_stopped {
                return Poll::Ready(());
            }
            if !state
                .waiting
                .as_ref()
                .is_some_and(|old| old.will_wake(cx.waker()))
            {
                state.waiting = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    fn stop(&self) {
        let waiting = self.with(|state| {
            state.has_stopped = true;
            state.waiting.take()
        });
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The body of the requests that [`Deadline`](super::Deadline) passes on. It fails when the wrapped body gives nothing for too
/// long; its error is boxed: the wrapped body's, or a [`TunnelError`](tunnel_core::TunnelError).
#[pin_project]
pub struct UploadBody<B> {
    #[pin]
    inner: B,
    /// Of no interest any more when the body has ended. Boxed, because most requests have no body, and all are moved a lot.
    watch: Option<Box<Watch>>,
}

struct Watch {
    upload: Upload,
    idle: Idle,
}

impl<B> UploadBody<B> {
    pub(super) fn new(inner: B, upload: Option<Upload>) -> Self {
        let watch = upload.map(|upload| {
            let idle = Idle::new(upload.with(|state| state.idle));
            Box::new(Watch { upload, idle })
        });
        Self { inner, watch }
    }
}

impl<B> Body for UploadBody<B>
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
        match this.inner.poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(watch) = this.watch {
                    watch.idle.moved();
                    watch.upload.with(|state| state.moved = Instant::now());
                }
                if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
                    *this.watch = None;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let Some(watch) = this.watch else {
                    return Poll::Pending;
                };
                ready!(watch.idle.poll_over(cx));
                watch.upload.stop();
                *this.watch = None;
                Poll::Ready(Some(Err(upload_idle().into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for UploadBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadBody")
            .field("watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}
