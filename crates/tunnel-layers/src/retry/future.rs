use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{AsTunnelError, BoxTask, Record, Runtime, TunnelError};

use crate::{
    lent::{Lent, Loan},
    reject::{Caller, ResponseBody},
    repeat::Policy,
};

/// The future of [`Retry`](super::Retry). Dropping it drops the call.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<S: Service<Request<Lent<B>>>, B> {
    caller: Caller,
    #[pin]
    state: State<B, S::Future>,
    /// What the request can be sent with once more. Boxed, because it is larger than all else, and few need it.
    again: Option<Box<Again<S, B>>>,
}

/// A request that may be sent once more.
pub(super) struct Again<S, B> {
    pub(super) inner: S,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) policy: Policy,
    pub(super) parts: Parts,
    /// Until the body cannot be had again.
    pub(super) loan: Option<Loan<B>>,
    pub(super) tried: usize,
}

/// A request, and what it waits for.
type Waiting<B> = (Option<BoxTask>, Request<Lent<B>>);

#[pin_project(project = StateProj)]
enum State<B, F> {
    Rejected(Option<TunnelError>),
    Called(#[pin] F),
    /// The next try waits for its time, and for the service to become ready.
    Waiting(Option<Box<Waiting<B>>>),
}

impl<S, B> Again<S, B> {
    /// The next attempt after this end of one, if the rule wants it and it can be made.
    fn after<RB, E: AsTunnelError>(&mut self, end: &Result<Response<RB>, E>) -> Option<Waiting<B>> {
        let is_wanted = match end {
            Ok(response) => self.policy.wants_answer(response),
            Err(error) => self.policy.wants_error(error.as_tunnel_error()?),
        };
        let loan = self.loan.take()?;
        if !is_wanted || !self.policy.can(self.tried, &loan) {
            return None;
        }
        let pause = self
            .policy
            .take(self.tried, &self.parts.extensions, &*self.runtime)?;
        let (body, loan) = loan.renew()?;
        self.tried += 1;
        if let Some(record) = self.parts.extensions.get::<Record>() {
            record.note_retry();
        }
        // The last one need not be kept.
        self.loan = (self.tried < self.policy.attempts()).then_some(loan);
        Some((pause, Request::from_parts(self.parts.clone(), body)))
    }
}

impl<S: Service<Request<Lent<B>>>, B> ResponseFuture<S, B> {
    pub(super) const fn rejected(caller: Caller, error: TunnelError) -> Self {
        Self {
            caller,
            state: State::Rejected(Some(error)),
            again: None,
        }
    }

    pub(super) fn called(caller: Caller, future: S::Future, again: Option<Again<S, B>>) -> Self {
        Self {
            caller,
            state: State::Called(future),
            again: again.map(Box::new),
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<Lent<B>>, Response = Response<RB>>,
    S::Error: AsTunnelError,
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
                StateProj::Called(future) => {
                    let end = ready!(future.poll(cx));
                    let Some(next) = this.again.as_mut().and_then(|again| again.after(&end)) else {
                        // Nothing of the body is needed again.
                        this.again.take();
                        return Poll::Ready(end.map(|response| response.map(ResponseBody::inner)));
                    };
                    this.state.set(State::Waiting(Some(Box::new(next))));
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

impl<S: Service<Request<Lent<B>>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
