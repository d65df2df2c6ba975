//! The future of [`Rescue`](super::Rescue).

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tunnel_core::{BoxError, TunnelError};

use super::{RescueBody, classify};
use crate::reject::Caller;

/// Resolves to the response of the wrapped service, or to one that says what failed. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F),
    Refused(TunnelError),
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) const fn called(future: F, caller: Caller) -> Self {
        Self {
            state: State::Called(future),
            caller,
        }
    }

    pub(super) const fn refused(error: TunnelError, caller: Caller) -> Self {
        Self {
            state: State::Refused(error),
            caller,
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RescueBody<RB>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match this.state.project() {
            StateProj::Refused(error) => error.clone(),
            StateProj::Called(future) => match ready!(future.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(wrap(response, *this.caller))),
                Err(error) => classify(&error.into(), this.caller.trace_id()),
            },
        };
        Poll::Ready(Ok(this.caller.reject(&error).map(RescueBody::reply)))
    }
}

#[inline(always)]
fn wrap<RB>(response: Response<RB>, caller: Caller) -> Response<RescueBody<RB>> {
    let told = caller
        .takes_trailers(response.headers())
        .then(|| Box::new(caller));
    response.map(|body| RescueBody::inner(body, told))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
