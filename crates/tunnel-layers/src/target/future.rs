//! The future of [`ToTarget`](super::ToTarget).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project::pin_project;
use tunnel_core::TunnelError;

use crate::reject::{Caller, ResponseBody};

/// Resolves to the response of the wrapped service, or to the refusal of a request that is malformed. Dropping it drops the call.
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
    Rejected(Caller, Option<TunnelError>),
    Called(#[pin] F),
}

impl<F> ResponseFuture<F> {
    pub(super) const fn rejected(caller: Caller, error: TunnelError) -> Self {
        Self {
            state: State::Rejected(caller, Some(error)),
        }
    }

    pub(super) const fn new(inner: F) -> Self {
        Self {
            state: State::Called(inner),
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Rejected(caller, error) => {
                let answer = |error: TunnelError| Poll::Ready(Ok(caller.reject(&error)));
                error.take().map_or(Poll::Pending, answer)
            }
            StateProj::Called(inner) => inner
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::inner)),
        }
    }
}
