//! The future of [`Traced`](super::Traced).

use std::{
    fmt,
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
    /// None if nobody listens; boxed, because that is the usual case.
    span: Option<Box<Span>>,
    watch: Option<Box<Watch>>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Called(#[pin] F, TraceId),
    Refused(TunnelError, Caller),
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn called(future: F, id: TraceId, span: Span, watch: Option<Box<Watch>>) -> Self {
        Self {
            state: State::Called(future, id),
            span: heard(span),
            watch,
        }
    }

    pub(super) fn refused(error: TunnelError, caller: Caller, span: Span, watch: Option<Box<Watch>>) -> Self {
        Self {
            state: State::Refused(error, caller),
            span: heard(span),
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
        let entered = this.span.as_ref().map(|span| span.enter());
        match this.state.project() {
            StateProj::Called(future, id) => {
                let polled = future.poll(cx);
                drop(entered);
                match ready!(polled) {
                    Ok(mut response) => {
                        response.headers_mut().insert(TRACE_ID_HEADER, id.to_header());
                        let watch = this.watch.take().and_then(|watch| watch.answered(&response));
                        // The body keeps it open from here on.
                        let span = this.span.take();
                        record(span.as_deref(), &response);
                        Poll::Ready(Ok(
                            response.map(|body| TracedBody::new(ResponseBody::inner(body), span, watch))
                        ))
                    }
                    Err(error) => {
                        if let Some(mut watch) = this.watch.take() {
                            watch.failed(&());
                        }
                        Poll::Ready(Err(error))
                    }
                }
            }
            StateProj::Refused(error, caller) => {
                let response = caller.reject(error);
                if let Some(mut watch) = this.watch.take() {
                    watch.refused(error, response.status());
                }
                record(this.span.as_deref(), &response);
                Poll::Ready(Ok(response.map(|body| TracedBody::new(body, None, None))))
            }
        }
    }
}

fn record<B>(span: Option<&Span>, response: &Response<B>) {
    if let Some(span) = span {
        span.record("http.response.status_code", response.status().as_u16());
    }
}

/// The span, if somebody listens to it.
fn heard(span: Span) -> Option<Box<Span>> {
    (!span.is_disabled()).then(|| Box::new(span))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("span", &self.span.as_ref().and_then(|span| span.id()))
            .finish_non_exhaustive()
    }
}
