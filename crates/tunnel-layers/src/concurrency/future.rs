//! The future of [`Concurrency`](super::Concurrency).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;
use tunnel_core::{Lifetime, TunnelError, admit::UpgradeRequest};

use super::{
    ConcurrencyBody,
    limiter::Limiter,
    places::{Asked, InLine, Place},
};
use crate::{key::Key, oneshot::Oneshot, reject::Caller};

/// Waits for a place, then for the wrapped service and its response. Dropping it leaves the line, or drops the call and
/// gives the place back.
#[pin_project]
pub struct ResponseFuture<S: Service<Request<B>>, B> {
    #[pin]
    state: State<S, B>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Request<B>>, B> {
    /// Boxed, because that is rare and large: most find a place at once.
    Waits(Pin<Box<Waits<S, B>>>),
    Called(#[pin] Oneshot<S, Request<B>>, Option<Held>),
    Refused(TunnelError),
}

#[pin_project]
struct Waits<S, B> {
    /// What is called when there is a place.
    call: Option<(S, Request<B>)>,
    limiter: Arc<Limiter>,
    line: InLine,
    #[pin]
    sleep: Sleep,
}

impl<S: Service<Request<B>> + Clone, B> ResponseFuture<S, B> {
    #[inline(always)]
    pub(super) fn new(
        service: &mut S,
        mut request: Request<B>,
        limiter: &Arc<Limiter>,
        key: Option<(Key, usize)>,
        caller: Caller,
    ) -> Self {
        let state = match limiter.places.ask(key) {
            Asked::Place(place) => {
                let held = hold(&mut request, place);
                return Self {
                    state: State::Called(Oneshot::now(service, request), Some(held)),
                    caller,
                };
            }
            Asked::Full => State::Refused(limiter.full()),
            Asked::Line(line) => State::Waits(Box::pin(Waits {
                call: Some((service.clone(), request)),
                limiter: limiter.clone(),
                line,
                sleep: sleep(limiter.settings.max_wait),
            })),
        };
        Self { state, caller }
    }
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) const fn refused(error: TunnelError, caller: Caller) -> Self {
        Self {
            state: State::Refused(error),
            caller,
        }
    }
}

/// What keeps the place.
pub(super) enum Held {
    /// It alone does, so that it ends with the body of the response.
    Place { _place: Box<Place> },
    /// Whoever carries the upgraded stream does as well.
    Lifetime { _lifetime: Lifetime },
}

/// Keeps the place as long as the exchange lives. Nothing but an upgraded stream outlives the response's body.
fn hold<B>(request: &mut Request<B>, place: Place) -> Held {
    if request.extensions().get::<UpgradeRequest>().is_none() {
        return Held::Place {
            _place: Box::new(place),
        };
    }
    let lifetime = Lifetime::of(request.extensions_mut());
    lifetime.hold(place);
    Held::Lifetime { _lifetime: lifetime }
}

impl<S: Service<Request<B>>, B> Waits<S, B> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<State<S, B>> {
        let this = self.project();
        // The place first: who has one is not late.
        let place = this.line.poll_place(cx);
        if place.is_pending() {
            ready!(this.sleep.poll(cx));
        }
        // Taken once: the state changes with what this gives.
        let Some((service, mut request)) = this.call.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match place {
            Poll::Ready(place) => {
                let held = hold(&mut request, place);
                State::Called(Oneshot::polled(service, request, cx), Some(held))
            }
            Poll::Pending => State::Refused(this.limiter.late()),
        })
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Output = Result<Response<ConcurrencyBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Waits(waits) => ready!(waits.as_mut().poll(cx)),
                StateProj::Called(call, held) => {
                    let result = ready!(call.poll(cx));
                    let held = held.take();
                    return Poll::Ready(
                        result.map(|response| response.map(|body| ConcurrencyBody::inner(body, held))),
                    );
                }
                StateProj::Refused(error) => {
                    let answer = this.caller.reject(error);
                    return Poll::Ready(Ok(answer.map(ConcurrencyBody::reply)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Waits(_) => "waits",
            State::Called(..) => "called",
            State::Refused(_) => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
