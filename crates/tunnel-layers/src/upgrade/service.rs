use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;
use tunnel_core::{Cause, Initiator, Lifetime, Sent, TunnelError, admit::ExtendedConnect};

use super::ResponseFuture;
use crate::{
    admission::admit,
    reject::{Caller, ResponseBody},
};

/// Handles requests for another protocol; see the [module](super).
#[derive(Clone, Debug)]
pub struct Upgrade<S> {
    inner: S,
}

impl<S> Upgrade<S> {
    /// Hands everything that is plain HTTP to `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

wraps_inner!(Upgrade<S>);

impl<S, B, RB> Service<Request<B>> for Upgrade<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = Caller::of(&request);
        match admit(request).and_then(refuse_connect) {
            Ok(mut request) => {
                Lifetime::of(request.extensions_mut());
                ResponseFuture::new(self.inner.call(request))
            }
            Err(error) => ResponseFuture::rejected(caller, error),
        }
    }
}

fn refuse_connect<B>(request: Request<B>) -> Result<Request<B>, TunnelError> {
    if request.extensions().get::<ExtendedConnect>().is_none() {
        return Ok(request);
    }
    let text = "extended CONNECT (RFC 8441) is not served here";
    Err(TunnelError::new(Cause::MethodNotServed, Initiator::Tunnel, text).with_sent(Sent::No))
}
