//! The future of [`Traced`](super::Traced).

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tracing::Span;
use tunnel_core::TunnelError;

use super::TracedBody;
use crate::{
    reject::{Caller, ResponseBody, TRACE_ID_HEADER},
    trace::watch::Watch,
    trace_context::TraceId,
};

/// Resolves to the response of the wrapped service, with the trace id. Dropping it drops the call, then closes the span.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    span: Span,
    watch: Option<Box<Watch>>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F, TraceId),
    Refused(TunnelError, Caller),
}

impl<F> ResponseFuture<F> {
    pub(super) const fn called(future: F, id: TraceId, span: Span, watch: Option<Box<Watch>>) -> Self {
        Self {
            state: State::Called(future, id),
            span,
            watch,
        }
    }

    pub(super) const fn refused(
        error: TunnelError,
        caller: Caller,
        span: Span,
        watch: Option<Box<Watch>>,
    ) -> Self {
        Self {
            state: State::Refused(error, caller),
            span,
            watch,
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body<Data = Bytes>,
{
    type Output = Result<Response<TracedBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.span.enter();
        let response = match this.state.project() {
            StateProj::Called(future, id) => {
                let answer = ready!(future.poll(cx));
                let mut response = match (answer, this.watch.take()) {
                    (Ok(response), watch) => {
                        *this.watch = watch.and_then(|watch| watch.answered(&response));
                        response
                    }
                    (Err(error), watch) => {
                        if let Some(mut watch) = watch {
                            watch.failed(&());
                        }
                        return Poll::Ready(Err(error));
                    }
                };
                response.headers_mut().insert(TRACE_ID_HEADER, id.to_header());
                response.map(|body| (ResponseBody::inner(body), true))
            }
            StateProj::Refused(error, caller) => {
                let response = caller.reject(error);
                if let Some(mut watch) = this.watch.take() {
                    watch.refused(error, response.status());
                }
                response.map(|body| (body, false))
            }
        };
        drop(entered);
        this.span
            .record("http.response.status_code", response.status().as_u16());
        // The body keeps it open from here on.
        let span = mem::replace(this.span, Span::none());
        let watch = this.watch.take();
        Poll::Ready(Ok(response.map(|(body, is_inner)| {
            TracedBody::new(body, is_inner.then_some(span), watch)
        })))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("span", &self.span.id())
            .finish_non_exhaustive()
    }
}
