//! The future of [`Deadline`](super::Deadline).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tunnel_core::TunnelError;

use super::{DeadlineBody, head_over, over, time::Plan, upload::Upload, upload_idle};
use crate::reject::{Caller, ResponseBody};

/// Resolves to the response of the wrapped service, or when a time is over. Dropping it drops the call.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    /// Boxed, because most of it is timers, which many exchanges have none of. None if the exchange has all the time it wants.
    clocks: Option<Pin<Box<Clocks>>>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F),
    Refused(TunnelError),
}

/// What may end a call early.
#[pin_project]
struct Clocks {
    plan: Plan,
    #[pin]
    whole: Option<Sleep>,
    #[pin]
    head: Option<Sleep>,
    upload: Option<Upload>,
}

impl Clocks {
    fn new(plan: Plan, upload: Option<Upload>) -> Option<Pin<Box<Self>>> {
        let is_bound = plan.is_bound() || upload.is_some();
        is_bound.then(|| {
            Box::pin(Self {
                plan,
                whole: plan.end.map(sleep_until),
                head: plan.head.map(sleep),
                upload,
            })
        })
    }

    fn has_stopped(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::has_stopped)
    }

    fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let this = self.project();
        if let Some(upload) = this.upload
            && upload.poll_stopped(cx).is_ready()
        {
            return Poll::Ready(upload_idle());
        }
        let whole = this.whole.as_pin_mut();
        if whole.is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            return Poll::Ready(over());
        }
        match (this.head.as_pin_mut(), this.plan.head) {
            (Some(sleep), Some(limit)) => poll_head(sleep, limit, this.upload.as_ref(), cx),
            _ => Poll::Pending,
        }
    }
}

/// The time until the head begins again with each piece of the request's body.
fn poll_head(
    mut sleep: Pin<&mut Sleep>,
    limit: Duration,
    upload: Option<&Upload>,
    cx: &mut Context<'_>,
) -> Poll<TunnelError> {
    while sleep.as_mut().poll(cx).is_ready() {
        let end = upload.and_then(|upload| upload.moved().checked_add(limit));
        match end {
            Some(end) if end > Instant::now() => sleep.as_mut().reset(end),
            _ => return Poll::Ready(head_over()),
        }
    }
    Poll::Pending
}

impl<F> ResponseFuture<F> {
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
                let error =
                    match future.poll(cx) {
                        // Whatever the service made of a body that stopped, this is what happened.
                        Poll::Ready(_) if clocks.as_ref().is_some_and(|clocks| clocks.has_stopped()) => {
                            upload_idle()
                        }
                        Poll::Ready(result) => {
                            return Poll::Ready(result.map(|response| {
                                wrap(response, clocks.as_mut().map(Pin::as_mut), *this.caller)
                            }));
                        }
                        Poll::Pending => match clocks {
                            Some(clocks) => ready!(clocks.as_mut().poll_over(cx)),
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

fn wrap<RB>(
    response: Response<RB>,
    clocks: Option<Pin<&mut Clocks>>,
    caller: Caller,
) -> Response<DeadlineBody<RB>> {
    let Some(clocks) = clocks else {
        return response.map(DeadlineBody::unwatched);
    };
    let clocks = clocks.project();
    let in_trailers = caller.takes_trailers(response.headers());
    // How the upload goes matters further only if it may stop.
    let upload = clocks
        .upload
        .take()
        .filter(|_| clocks.plan.request_idle.is_some());
    response.map(|body| DeadlineBody::inner(body, clocks.plan, upload, in_trailers))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("end", &self.clocks.as_ref().and_then(|clocks| clocks.plan.end))
            .finish_non_exhaustive()
    }
}
