//! The future of [`Traced`](super::Traced).

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tracing::Span;
use tunnel_core::TunnelError;

use super::TracedBody;
use crate::{
    reject::{Caller, ResponseBody, TRACE_ID_HEADER},
    trace_context::TraceId,
};

/// Resolves to the response of the wrapped service, with the trace id. Dropping it drops the call, then closes the span.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    span: Span,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F, TraceId),
    Refused(TunnelError, Caller),
}

impl<F> ResponseFuture<F> {
    pub(super) const fn called(future: F, id: TraceId, span: Span) -> Self {
        Self {
            state: State::Called(future, id),
            span,
        }
    }

    pub(super) const fn refused(error: TunnelError, caller: Caller, span: Span) -> Self {
        Self {
            state: State::Refused(error, caller),
            span,
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<TracedBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.span.enter();
        let response = match this.state.project() {
            StateProj::Called(future, id) => {
                let mut response = ready!(future.poll(cx))?;
                response.headers_mut().insert(TRACE_ID_HEADER, id.to_header());
                response.map(|body| (ResponseBody::inner(body), true))
            }
            StateProj::Refused(error, caller) => caller.reject(error).map(|body| (body, false)),
        };
        drop(entered);
        this.span
            .record("http.response.status_code", response.status().as_u16());
        // The body keeps it open from here on.
        let span = mem::replace(this.span, Span::none());
        Poll::Ready(Ok(
            response.map(|(body, is_inner)| TracedBody::new(body, is_inner.then_some(span)))
        ))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("span", &self.span.id())
            .finish_non_exhaustive()
    }
}
