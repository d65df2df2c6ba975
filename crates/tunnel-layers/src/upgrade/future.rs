//! The future of [`Upgrade`](super::Upgrade).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tunnel_core::{BoxError, TunnelError};

use super::ask::Asked;
use crate::reject::{Caller, ResponseBody};

/// Resolves to the response for the outside client. Dropping it drops the call.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Rejected(Option<TunnelError>),
    /// What an upgrade needs is boxed, because most requests ask for none.
    Called(#[pin] F, Option<Box<Asked>>),
}

impl<F> ResponseFuture<F> {
    pub(super) const fn rejected(caller: Caller, error: TunnelError) -> Self {
        Self {
            state: State::Rejected(Some(error)),
            caller,
        }
    }

    #[inline(always)]
    pub(super) const fn called(caller: Caller, inner: F, asked: Option<Box<Asked>>) -> Self {
        Self {
            state: State::Called(inner, asked),
            caller,
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            StateProj::Rejected(error) => {
                let answer = |error: TunnelError| Poll::Ready(Ok(this.caller.reject(&error)));
                error.take().map_or(Poll::Pending, answer)
            }
            StateProj::Called(inner, asked) => {
                let response = ready!(inner.poll(cx))?;
                let answer = match asked.take() {
                    Some(asked) => asked.answered(response),
                    None => match super::answer::check_plain(response.status()) {
                        Ok(()) => return Poll::Ready(Ok(response.map(ResponseBody::inner))),
                        Err(error) => Err(error),
                    },
                };
                Poll::Ready(Ok(answer.unwrap_or_else(|error| this.caller.reject(&error))))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
