//! Services and bodies that behave badly.

use std::{
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;
use tunnel_core::{Cause, Initiator, Sent, TunnelError};

/// An agent's service that refuses every exchange before it looks at it, as an agent does that has no room: the gateway may send it
/// to another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusing;

impl<B> Service<Request<B>> for Refusing {
    type Response = Response<Empty<Bytes>>;
    type Error = TunnelError;
    type Future = Ready<Result<Self::Response, TunnelError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let error = TunnelError::new(
            Cause::Overloaded,
            Initiator::Tunnel,
            "this agent refuses everything",
        );
        ready(Err(error.with_sent(Sent::No)))
    }
}

/// A body that yields each frame only some time after it was asked for: around an answer's body a reader that is slow, around a
/// request's body a client that is.
#[pin_project]
#[derive(Debug)]
pub struct Slowly<B> {
    #[pin]
    inner: B,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<B> Slowly<B> {
    /// Waits `pause` before each frame.
    #[must_use]
    pub const fn new(inner: B, pause: Duration) -> Self {
        Self {
            inner,
            pause,
            sleep: None,
        }
    }
}

impl<B: Body> Body for Slowly<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let pause = *this.pause;
        let waits = this.sleep.get_or_insert_with(|| Box::pin(sleep(pause)));
        ready!(waits.as_mut().poll(cx));
        let frame = ready!(this.inner.poll_frame(cx));
        *this.sleep = None;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
