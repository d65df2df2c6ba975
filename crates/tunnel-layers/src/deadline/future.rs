//! The future of [`Deadline`](super::Deadline).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tunnel_core::TunnelError;

use super::{DeadlineBody, clocks::Clocks, time::Plan, upload::Upload, upload_idle};
use crate::reject::{Caller, ResponseBody};

/// Resolves to the response of the wrapped service, or when a time is over. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    /// Boxed, because most of it is a timer, which many exchanges have none of. None if the exchange has all the time it wants.
    clocks: Option<Pin<Box<Clocks>>>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F),
    Refused(TunnelError),
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn called(future: F, plan: Plan, upload: Option<Upload>, caller: Caller) -> Self {
        Self {
            state: State::Called(future),
            clocks: Clocks::new(plan, upload),
            caller,
        }
    }

    pub(super) const fn refused(error: TunnelError, caller: Caller) -> Self {
        Self {
            state: State::Refused(error),
            clocks: None,
            caller,
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<DeadlineBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let clocks = this.clocks;
        let error = match this.state.as_mut().project() {
            StateProj::Refused(error) => error.clone(),
            StateProj::Called(future) => {
                let error = match future.poll(cx) {
                    // Whatever the service made of a body that stopped, this is what happened.
                    Poll::Ready(_) if clocks.as_ref().is_some_and(|clocks| clocks.has_stopped()) => {
                        upload_idle()
                    }
                    Poll::Ready(result) => {
                        return Poll::Ready(
                            result.map(|response| wrap(response, clocks.take(), *this.caller)),
                        );
                    }
                    Poll::Pending => match clocks {
                        Some(clocks) => ready!(clocks.as_mut().poll_call(cx)),
                        None => return Poll::Pending,
                    },
                };
                // Ends the call before the caller hears of it.
                this.state.set(State::Refused(error.clone()));
                error
            }
        };
        let answer: Response<ResponseBody<RB>> = this.caller.reject(&error);
        Poll::Ready(Ok(answer.map(DeadlineBody::reply)))
    }
}

#[inline(always)]
fn wrap<RB>(
    response: Response<RB>,
    clocks: Option<Pin<Box<Clocks>>>,
    caller: Caller,
) -> Response<DeadlineBody<RB>> {
    let Some(clocks) = clocks.and_then(Clocks::of_body) else {
        return response.map(DeadlineBody::unwatched);
    };
    let in_trailers = caller.takes_trailers(response.headers());
    response.map(|body| DeadlineBody::inner(body, clocks, in_trailers))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("end", &self.clocks.as_ref().and_then(|clocks| clocks.end()))
            .finish_non_exhaustive()
    }
}
