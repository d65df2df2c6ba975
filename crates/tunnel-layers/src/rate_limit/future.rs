//! The future of [`RateLimit`](super::RateLimit).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response};
use pin_project::pin_project;
use tunnel_core::TunnelError;

use super::{
    fields,
    limiter::{Limiter, Verdict},
    limiters::Limiters,
};
use crate::reject::{Caller, ResponseBody};

/// Resolves to the response of the wrapped service, or to a refusal. Dropping it drops the call; the request has been counted.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    /// Boxed, because most answers tell nothing.
    told: Option<Box<Told>>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F),
    Refused(TunnelError, Caller),
}

/// What a response tells about the limit.
pub(super) struct Told {
    limiters: Arc<Limiters>,
    /// That of a rule, else the layer's own.
    of_rule: Option<Arc<Limiter>>,
    verdict: Verdict,
}

impl Told {
    pub(super) const fn new(
        limiters: Arc<Limiters>,
        of_rule: Option<Arc<Limiter>>,
        verdict: Verdict,
    ) -> Self {
        Self {
            limiters,
            of_rule,
            verdict,
        }
    }

    fn put(&self, headers: &mut HeaderMap) {
        let Limiters { settings, own, .. } = &*self.limiters;
        let limiter = self.of_rule.as_deref().unwrap_or(own);
        fields::put(headers, &settings.name, limiter, self.verdict);
    }
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn called(future: F, told: Option<Told>) -> Self {
        Self {
            state: State::Called(future),
            told: told.map(Box::new),
        }
    }

    pub(super) fn refused(error: TunnelError, told: Option<Told>, caller: Caller) -> Self {
        Self {
            state: State::Refused(error, caller),
            told: told.map(Box::new),
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let told = this.told;
        Poll::Ready(match this.state.project() {
            StateProj::Called(future) => {
                ready!(future.poll(cx)).map(|response| tell(response, told).map(ResponseBody::inner))
            }
            StateProj::Refused(error, caller) => Ok(tell(caller.reject(error), told)),
        })
    }
}

/// The response, with what it tells about the limit.
#[inline(always)]
fn tell<B>(mut response: Response<B>, told: &mut Option<Box<Told>>) -> Response<B> {
    if let Some(told) = told.take() {
        told.put(response.headers_mut());
    }
    response
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
