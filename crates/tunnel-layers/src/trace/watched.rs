//! Answers that are watched to their end.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::watch::Watch;

/// Resolves to the response of the wrapped service. Dropping it drops the call, and ends the span as that of a request that was given
/// up.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    call: F,
    watch: Option<Box<Watch>>,
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(call: F, watch: Option<Box<Watch>>) -> Self {
        Self { call, watch }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body,
    E: 'static,
{
    type Output = Result<Response<WatchedBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.call.poll(cx));
        let watch = this.watch.take();
        Poll::Ready(match answer {
            Ok(response) => {
                let watch = watch.and_then(|watch| watch.answered(&response));
                Ok(response.map(|inner| WatchedBody { inner, watch }))
            }
            Err(error) => {
                if let Some(mut watch) = watch {
                    watch.failed(&error);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("is_watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}

/// The body of a response that is watched: it ends the span when it ends, fails or is dropped.
#[pin_project]
#[derive(Default)]
pub struct WatchedBody<B> {
    #[pin]
    inner: B,
    watch: Option<Box<Watch>>,
}

impl<B> Body for WatchedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = this.inner.as_mut().poll_frame(cx);
        if let Some(watch) = this.watch {
            let is_end = this.inner.is_end_stream();
            if watch.saw(&frame, is_end, |error| Some(error as &dyn Any)) {
                *this.watch = None;
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

impl<B> fmt::Debug for WatchedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedBody")
            .field("is_watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}
