use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use tunnel_core::{Cause, Initiator, Sent, TunnelError};

use crate::reject::{Caller, NoBody, ResponseBody};

/// What gets the requests that no rule matches, unless [`RouteLayer::or`](super::RouteLayer::or) names another service: it
/// answers 404, or NOT_FOUND.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NotFound;

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<ResponseBody<NoBody>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let error =
            TunnelError::new(Cause::NoRoute, Initiator::Caller, "no matching rule").with_sent(Sent::No);
        ready(Ok(Caller::of(&request).reject(&error)))
    }
}
