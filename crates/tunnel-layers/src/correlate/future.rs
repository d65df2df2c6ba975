use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use tower_service::Service;
use tunnel_core::{BoxError, ExchangeResponse, Outgoing, Pump, RecvHalf, TunnelBody, TunnelError};

/// The future of [`Correlate`](super::Correlate). Dropping it resets the exchange.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<B, S: Service<Outgoing>> {
    state: State<B, S>,
}

enum State<B, S: Service<Outgoing>> {
    Failed(Option<TunnelError>),
    Open {
        /// Boxed from the start, because it has been polled, and so pinned, when it turns out that it must be spawned.
        pump: Option<Pin<Box<Pump<B, S>>>>,
        recv: Option<RecvHalf>,
        is_head: bool,
    },
}

impl<B, S: Service<Outgoing>> ResponseFuture<B, S> {
    pub(super) const fn failed(error: TunnelError) -> Self {
        Self {
            state: State::Failed(Some(error)),
        }
    }

    #[inline(always)]
    pub(super) fn new(pump: Pump<B, S>, recv: RecvHalf, is_head: bool) -> Self {
        Self {
            state: State::Open {
                pump: Some(Box::pin(pump)),
                recv: Some(recv),
                is_head,
            },
        }
    }
}

impl<B, S> Future for ResponseFuture<B, S>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    S: Service<Outgoing, Response = ()> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Output = Result<ExchangeResponse, TunnelError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (pump, recv, is_head) = match &mut self.state {
            State::Failed(error) => {
                return error
                    .take()
                    .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
            }
            State::Open { pump, recv, is_head } => (pump, recv, *is_head),
        };
        let Some(receiver) = recv else {
            return Poll::Pending;
        };
        if let Some(mut upload) = pump.take() {
            match upload.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Whatever it fails with reaches the receiving half as well.
                Poll::Pending => receiver
                    .session()
                    .spawn(Box::pin(async move { drop(upload.await) })),
            }
        }
        let head = ready!(receiver.poll_head(cx))?;
        let id = receiver.id();
        let Some(receiver) = recv.take() else {
            return Poll::Pending;
        };
        let body = TunnelBody::new(receiver, &head.headers);
        let has_none = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if has_none { body.without_length() } else { body };
        Poll::Ready(Ok(ExchangeResponse { id, head, body }))
    }
}

impl<B, S: Service<Outgoing>> Unpin for ResponseFuture<B, S> {}

impl<B, S: Service<Outgoing>> fmt::Debug for ResponseFuture<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
