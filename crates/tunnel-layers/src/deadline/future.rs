//! The future of [`Deadline`](super::Deadline).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::TunnelError;

use super::{DeadlineBody, over};
use crate::reject::{Caller, ResponseBody};

/// Resolves to the response of the wrapped service, or when the time is over. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    #[pin]
    sleep: Option<Sleep>,
    end: Option<Instant>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F),
    Refused(TunnelError),
}

impl<F> ResponseFuture<F> {
    pub(super) fn called(future: F, end: Option<Instant>, caller: Caller) -> Self {
        Self {
            state: State::Called(future),
            sleep: end.map(sleep_until),
            end,
            caller,
        }
    }

    pub(super) const fn refused(error: TunnelError, caller: Caller) -> Self {
        Self {
            state: State::Refused(error),
            sleep: None,
            end: None,
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
        let error = match this.state.as_mut().project() {
            StateProj::Refused(error) => error.clone(),
            StateProj::Called(future) => {
                if let Poll::Ready(result) = future.poll(cx) {
                    return Poll::Ready(result.map(|response| wrap(response, *this.end, *this.caller)));
                }
                let over = this
                    .sleep
                    .as_pin_mut()
                    .is_some_and(|sleep| sleep.poll(cx).is_ready());
                if !over {
                    return Poll::Pending;
                }
                // Ends the call before the caller hears of it.
                this.state.set(State::Refused(self::over()));
                self::over()
            }
        };
        let answer: Response<ResponseBody<RB>> = this.caller.reject(&error);
        Poll::Ready(Ok(answer.map(DeadlineBody::reply)))
    }
}

fn wrap<RB>(response: Response<RB>, end: Option<Instant>, caller: Caller) -> Response<DeadlineBody<RB>> {
    let in_trailers = caller.takes_trailers(response.headers());
    response.map(|body| DeadlineBody::inner(body, end, in_trailers))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
