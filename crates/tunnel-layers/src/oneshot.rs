//! Readiness and call of a service in one future.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower_service::Service;

/// Waits until its own service is ready, then calls it. For layers that are always ready themselves: under axum nobody
/// else drives readiness.
#[pin_project]
pub(crate) struct Oneshot<S: Service<R>, R>(#[pin] State<S, R, S::Future>);

#[pin_project(project = StateProj)]
enum State<S, R, F> {
    Waiting(S, Option<R>),
    Called(#[pin] F),
}

impl<S: Service<R>, R> Oneshot<S, R> {
    pub(crate) const fn new(service: S, request: R) -> Self {
        Self(State::Waiting(service, Some(request)))
    }
}

impl<S: Service<R>, R> Future for Oneshot<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().0;
        loop {
            match state.as_mut().project() {
                StateProj::Called(future) => return future.poll(cx),
                StateProj::Waiting(service, request) => {
                    ready!(service.poll_ready(cx))?;
                    // Taken once: the state changes below, and an error above is the end of this future.
                    let Some(request) = mem::take(request) else {
                        return Poll::Pending;
                    };
                    let future = service.call(request);
                    state.set(State::Called(future));
                }
            }
        }
    }
}
