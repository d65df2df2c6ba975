use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{Agents, AsTunnelError, BoxTask, Member, TunnelError, balance::Pick};

use super::{
    Lent,
    retry::{Later, Retry},
    standing::Standing,
    watch::Watch,
};
use crate::reject::{Caller, ResponseBody};

/// The most sessions that a request of which nothing had left is sent to after the first.
pub const MAX_RETRIES: usize = 2;

/// The future of [`Balance`](super::Balance). Dropping it leaves the line, or resets the exchange.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<S: Service<Request<Lent<B>>>, A, P, B> {
    caller: Caller,
    #[pin]
    state: State<S, A, P, B, S::Future>,
    /// What the request can be sent with once more. Boxed, because it is larger than all else, and few need it.
    again: Option<Box<Again<S, A, P, B>>>,
}

pub(super) struct Again<S, A, P, B> {
    inner: S,
    watch: Option<Watch>,
    retry: Option<Retry<A, P, B>>,
}

/// What is rare and large is boxed.
#[pin_project(project = StateProj)]
enum State<S, A, P, B, F> {
    Rejected(Option<TunnelError>),
    InLine(Option<Box<Standing<S, A, P, B>>>),
    Called(#[pin] F),
    /// The next try waits for its time, and for the service to become ready.
    Waiting(Option<Box<Waiting<B>>>),
}

/// A request, and what it waits for.
type Waiting<B> = (Option<BoxTask>, Request<Lent<B>>);

impl<S, A, P, B> Again<S, A, P, B> {
    pub(super) const fn new(inner: S, watch: Option<Watch>, retry: Option<Retry<A, P, B>>) -> Self {
        Self { inner, watch, retry }
    }
}

impl<S, A: Agents, P: Pick<Member>, B> Again<S, A, P, B> {
    /// What to do after this end of an attempt: another one, or nothing.
    fn after<RB, E: AsTunnelError>(&mut self, end: &Result<Response<RB>, E>) -> Option<Later<A, P, B>> {
        let (watch, retry) = (self.watch.take(), self.retry.take());
        match end {
            Ok(response) => {
                watch.into_iter().for_each(|watch| watch.answered(response));
                retry?.after_answer(response)
            }
            Err(error) => {
                let error = error.as_tunnel_error()?;
                watch.into_iter().for_each(|watch| watch.failed(error));
                retry?.after_error(error)
            }
        }
    }

    /// What the next attempt waits for, if this end of one is not the last.
    fn next<RB, E: AsTunnelError>(&mut self, end: &Result<Response<RB>, E>) -> Option<Box<Waiting<B>>> {
        let (pause, (request, watch, retry)) = self.after(end)?;
        (self.watch, self.retry) = (watch, retry);
        Some(Box::new((pause, request)))
    }
}

impl<S: Service<Request<Lent<B>>>, A, P, B> ResponseFuture<S, A, P, B> {
    pub(super) const fn rejected(caller: Caller, error: TunnelError) -> Self {
        Self {
            caller,
            state: State::Rejected(Some(error)),
            again: None,
        }
    }

    pub(super) fn in_line(caller: Caller, standing: Standing<S, A, P, B>) -> Self {
        Self {
            caller,
            state: State::InLine(Some(Box::new(standing))),
            again: None,
        }
    }

    #[inline(always)]
    pub(super) fn called(caller: Caller, future: S::Future, again: Option<Again<S, A, P, B>>) -> Self {
        Self {
            caller,
            state: State::Called(future),
            again: again.map(Box::new),
        }
    }
}

impl<S, A, P, B, RB> Future for ResponseFuture<S, A, P, B>
where
    S: Service<Request<Lent<B>>, Response = Response<RB>>,
    S::Error: AsTunnelError,
    A: Agents,
    P: Pick<Member>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Rejected(error) => {
                    let answer = |error: TunnelError| Poll::Ready(Ok(this.caller.reject(&error)));
                    return error.take().map_or(Poll::Pending, answer);
                }
                StateProj::InLine(standing) => {
                    let Some(waiting) = standing.as_mut() else {
                        return Poll::Pending;
                    };
                    let placed = ready!(waiting.poll_place(cx));
                    let standing = standing.take();
                    match placed {
                        Ok(member) => {
                            let sent = standing.and_then(|standing| standing.send(&member));
                            let Some((future, again)) = sent else {
                                return Poll::Pending;
                            };
                            *this.again = Some(Box::new(again));
                            this.state.set(State::Called(future));
                        }
                        Err(error) => this.state.set(State::Rejected(Some(error))),
                    }
                }
                StateProj::Called(future) => {
                    let end = ready!(future.poll(cx));
                    let next = this.again.as_mut().and_then(|again| again.next(&end));
                    let Some(waiting) = next else {
                        // Nothing of the body is needed again.
                        this.again.take();
                        return Poll::Ready(end.map(|response| response.map(ResponseBody::inner)));
                    };
                    this.state.set(State::Waiting(Some(waiting)));
                }
                StateProj::Waiting(waiting) => {
                    let (Some(again), Some(next)) = (this.again.as_mut(), waiting.as_mut()) else {
                        return Poll::Pending;
                    };
                    if let Some(pause) = &mut next.0 {
                        ready!(pause.as_mut().poll(cx));
                        next.0 = None;
                    }
                    ready!(again.inner.poll_ready(cx))?;
                    let Some(next) = waiting.take() else {
                        return Poll::Pending;
                    };
                    let future = again.inner.call(next.1);
                    this.state.set(State::Called(future));
                }
            }
        }
    }
}

impl<S: Service<Request<Lent<B>>>, A, P, B> fmt::Debug for ResponseFuture<S, A, P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
