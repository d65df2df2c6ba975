use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{AsTunnelError, Member, Sent, SessionId, TunnelError};

use super::{Lent, Pick, body::Loan, service::choose};
use crate::reject::{Caller, ResponseBody};

/// The most sessions that a request is sent to after the first.
pub const MAX_RETRIES: usize = 2;

/// The future of [`Balance`](super::Balance). Dropping it resets the exchange.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct ResponseFuture<S: Service<Request<Lent<B>>>, P, B> {
    caller: Caller,
    #[pin]
    state: State<S::Future, B>,
    /// What the request can be sent with once more. Boxed, because it is larger than all else, and few need it.
    again: Option<Box<Again<S, P, B>>>,
}

struct Again<S, P, B> {
    inner: S,
    retry: Option<Retry<P, B>>,
}

#[pin_project(project = StateProj)]
enum State<F, B> {
    Rejected(Option<TunnelError>),
    Called(#[pin] F),
    /// The next try waits for the service to become ready. Boxed: it is rare, and larger than all else.
    Waiting(Option<Box<Request<Lent<B>>>>),
}

/// What is kept to send a request once more.
pub(super) struct Retry<P, B> {
    parts: Parts,
    loan: Loan<B>,
    members: Arc<[Member]>,
    pick: P,
    tried: Vec<SessionId>,
}

impl<P: Pick, B> Retry<P, B> {
    pub(super) fn new(
        parts: Parts,
        loan: Loan<B>,
        members: Arc<[Member]>,
        pick: P,
        first: SessionId,
    ) -> Self {
        Self {
            parts,
            loan,
            members,
            pick,
            tried: vec![first],
        }
    }

    /// The request once more, for another session; `None` when there is none left, or the body cannot be given again.
    fn next(self) -> Option<(Request<Lent<B>>, Option<Self>)> {
        let Self {
            parts,
            loan,
            members,
            pick,
            mut tried,
        } = self;
        let session = choose(&members, &pick, &tried).ok()?;
        let (body, loan) = loan.renew()?;
        tried.push(session.id());
        let may_retry = tried.len() <= MAX_RETRIES;
        let retry = may_retry.then(|| Self {
            parts: parts.clone(),
            loan,
            members,
            pick,
            tried,
        });
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(session);
        Some((request, retry))
    }
}

impl<S: Service<Request<Lent<B>>>, P, B> ResponseFuture<S, P, B> {
    pub(super) const fn rejected(caller: Caller, error: TunnelError) -> Self {
        Self {
            caller,
            state: State::Rejected(Some(error)),
            again: None,
        }
    }

    pub(super) fn new(caller: Caller, future: S::Future, again: Option<(S, Retry<P, B>)>) -> Self {
        let boxed = |(inner, retry)| {
            let retry = Some(retry);
            Box::new(Again { inner, retry })
        };
        Self {
            caller,
            state: State::Called(future),
            again: again.map(boxed),
        }
    }
}

impl<S, P, B, RB> Future for ResponseFuture<S, P, B>
where
    S: Service<Request<Lent<B>>, Response = Response<RB>>,
    S::Error: AsTunnelError,
    P: Pick,
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
                    let error = match ready!(future.poll(cx)) {
                        Ok(response) => {
                            // The agent has answered: nothing of the body is needed again.
                            this.again.take();
                            return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                        }
                        Err(error) => error,
                    };
                    let may_retry = error
                        .as_tunnel_error()
                        .is_some_and(|error| error.sent() != Sent::Yes);
                    let Some(again) = this.again else {
                        return Poll::Ready(Err(error));
                    };
                    let retry = again.retry.take().filter(|_| may_retry);
                    let Some((request, retry)) = retry.and_then(Retry::next) else {
                        return Poll::Ready(Err(error));
                    };
                    again.retry = retry;
                    this.state.set(State::Waiting(Some(Box::new(request))));
                }
                StateProj::Waiting(request) => {
                    let Some(Again { inner, .. }) = this.again.as_deref_mut() else {
                        return Poll::Pending;
                    };
                    ready!(inner.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let future = inner.call(*request);
                    this.state.set(State::Called(future));
                }
            }
        }
    }
}

impl<S: Service<Request<Lent<B>>>, P, B> fmt::Debug for ResponseFuture<S, P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
