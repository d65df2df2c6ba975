//! The future of [`WithCredentials`](super::WithCredentials).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, header};
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{BoxError, Cause, Initiator, Sent, TunnelError};

use super::Credentials;
use crate::{
    oneshot::Oneshot,
    reject::{Caller, ResponseBody, is_unauthenticated},
};

/// Waits for the credentials, then for the wrapped service and its response. Dropping it drops the one that it waits for.
#[pin_project]
pub struct ResponseFuture<P: Credentials, S: Service<Request<B>>, B> {
    #[pin]
    state: State<P::Future, S, B>,
    provider: Arc<P>,
    caller: Caller,
}

#[pin_project(project = StateProj)]
enum State<F, S: Service<Request<B>>, B> {
    /// With what is called after it; none when that was taken.
    Getting(#[pin] F, Option<(S, Request<B>)>),
    /// With what was shown.
    Called(#[pin] Oneshot<S, Request<B>>, HeaderValue),
}

impl<P: Credentials, S: Service<Request<B>>, B> ResponseFuture<P, S, B> {
    pub(super) fn new(provider: Arc<P>, service: S, request: Request<B>, caller: Caller) -> Self {
        Self {
            state: State::Getting(provider.credentials(), Some((service, request))),
            provider,
            caller,
        }
    }
}

impl<P, S, B, RB> Future for ResponseFuture<P, S, B>
where
    P: Credentials,
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Called(call, shown) => {
                    let response = ready!(call.poll(cx))?;
                    if is_unauthenticated(&response) {
                        this.provider.refused(shown);
                    }
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProj::Getting(get, call) => match ready!(get.poll(cx)) {
                    Err(error) => return Poll::Ready(Ok(this.caller.reject(&failed(error)))),
                    Ok(mut value) => {
                        // Taken once: the state changes below.
                        let Some((service, mut request)) = call.take() else {
                            return Poll::Pending;
                        };
                        value.set_sensitive(true);
                        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
                        State::Called(Oneshot::polled(service, request, cx), value)
                    }
                },
            };
            this.state.set(next);
        }
    }
}

fn failed(error: BoxError) -> TunnelError {
    let text = "there are no credentials for this request at the moment";
    TunnelError::new(Cause::AuthUnavailable, Initiator::Tunnel, text)
        .with_sent(Sent::No)
        .with_source(error)
}

impl<P: Credentials, S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<P, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
