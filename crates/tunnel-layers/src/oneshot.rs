//! Readiness and call of a service in one future.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use pin_project::pin_project;
use tower_service::Service;

/// Waits until a service is ready, then calls it. For layers that are always ready themselves: under axum nobody else drives
/// readiness.
#[pin_project]
pub(crate) struct Oneshot<S: Service<R>, R>(#[pin] State<S, R, S::Future, S::Error>);

#[pin_project(project = StateProj)]
enum State<S, R, F, E> {
    Called(#[pin] F),
    /// Boxed, because it is rare and large: most services are ready at once.
    Waiting(Box<(S, Option<R>)>),
    Unready(Option<E>),
}

#[allow(dead_code, reason = "each layer needs one way to begin, and not each both")]
impl<S: Service<R>, R> Oneshot<S, R> {
    /// Calls the service, now if it is ready, and then without a clone of all that stands behind it. If it is not, the one that
    /// was asked waits, for it may have a place in a line, and a clone takes its place.
    // The future is large, and is made where it goes: so are those of the layers, whose constructors are inlined for that.
    #[inline(always)]
    pub(crate) fn now(service: &mut S, request: R) -> Self
    where
        S: Clone,
    {
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Self(State::Called(service.call(request))),
            Poll::Ready(Err(error)) => Self(State::Unready(Some(error))),
            Poll::Pending => Self::waiting(service, request),
        }
    }

    #[cold]
    fn waiting(service: &mut S, request: R) -> Self
    where
        S: Clone,
    {
        let spare = service.clone();
        let waiting = (mem::replace(service, spare), Some(request));
        Self(State::Waiting(Box::new(waiting)))
    }

    /// The same for a service of its own, in a future that is being polled.
    pub(crate) fn polled(mut service: S, request: R, cx: &mut Context<'_>) -> Self {
        Self(match service.poll_ready(cx) {
            Poll::Ready(Ok(())) => State::Called(service.call(request)),
            Poll::Ready(Err(error)) => State::Unready(Some(error)),
            Poll::Pending => State::Waiting(Box::new((service, Some(request)))),
        })
    }
}

impl<S: Service<R>, R> Future for Oneshot<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().0;
        loop {
            let future = match state.as_mut().project() {
                StateProj::Called(future) => return future.poll(cx),
                StateProj::Unready(error) => {
                    // Taken once: it is the end of this future.
                    return mem::take(error).map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
                StateProj::Waiting(waiting) => {
                    let (service, request) = &mut **waiting;
                    ready!(service.poll_ready(cx))?;
                    // Taken once: the state changes below, and an error above is the end of this future.
                    let Some(request) = mem::take(request) else {
                        return Poll::Pending;
                    };
                    service.call(request)
                }
            };
            state.set(State::Called(future));
        }
    }
}
