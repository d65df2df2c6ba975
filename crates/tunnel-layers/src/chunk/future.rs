use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};
use pin_project::pin_project;
use tunnel_core::{ExchangeResponse, TunnelBody, TunnelError, upgrade::Switched};

/// The future of [`Chunk`](super::Chunk). Dropping it resets the exchange.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[derive(Debug)]
#[pin_project(project = StateProj)]
enum State<F> {
    Failed(Option<TunnelError>),
    Open(#[pin] F),
}

impl<F> ResponseFuture<F> {
    pub(super) const fn failed(error: TunnelError) -> Self {
        Self {
            state: State::Failed(Some(error)),
        }
    }

    #[inline(always)]
    pub(super) const fn new(inner: F) -> Self {
        Self {
            state: State::Open(inner),
        }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<ExchangeResponse, E>>,
    E: From<TunnelError>,
{
    type Output = Result<Response<TunnelBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = match self.project().state.project() {
            StateProj::Failed(error) => {
                return error
                    .take()
                    .map_or(Poll::Pending, |error| Poll::Ready(Err(error.into())));
            }
            StateProj::Open(inner) => inner,
        };
        let ExchangeResponse { head, body, .. } = ready!(inner.poll(cx))?;
        let mut parts = head.into_parts()?;
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            parts.extensions.insert(Switched);
        }
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}
