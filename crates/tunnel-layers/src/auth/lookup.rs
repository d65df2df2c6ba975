//! The future of authenticators that have to ask somebody.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;
use tunnel_core::auth::{Principal, Rejection};

/// What an authenticator says of a request.
pub(super) type Verdict = Result<Principal, Rejection>;

/// What is asked when the future is polled for the first time.
pub(super) trait Question: Unpin {
    fn ask(self) -> Asked;
}

/// What came of asking.
pub(super) enum Asked {
    Known(Verdict),
    Waiting(oneshot::Receiver<Verdict>),
}

/// A question and its answer.
pub(super) enum Lookup<Q> {
    Unasked(Option<Q>),
    Waiting(oneshot::Receiver<Verdict>),
}

impl<Q> Lookup<Q> {
    pub(super) const fn new(question: Q) -> Self {
        Self::Unasked(Some(question))
    }
}

impl<Q: Question> Future for Lookup<Q> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        loop {
            let next = match &mut *self {
                Self::Waiting(receiver) => {
                    let lost = |_| Err(Rejection::unavailable("the check was broken off"));
                    return Poll::Ready(ready!(Pin::new(receiver).poll(cx)).unwrap_or_else(lost));
                }
                Self::Unasked(question) => match question.take().map(Question::ask) {
                    Some(Asked::Known(verdict)) => return Poll::Ready(verdict),
                    Some(Asked::Waiting(receiver)) => Self::Waiting(receiver),
                    // It was polled after its end.
                    None => return Poll::Pending,
                },
            };
            *self = next;
        }
    }
}
