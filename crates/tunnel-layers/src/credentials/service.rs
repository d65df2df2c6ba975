use std::{
    any::type_name,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{Credentials, future::ResponseFuture};
use crate::reject::{Caller, ResponseBody};

/// The service of [`CredentialsLayer`](super::CredentialsLayer). It is always ready, and waits in its future until the wrapped
/// service is: who waits for credentials takes no place in it.
pub struct WithCredentials<S, P> {
    inner: S,
    provider: Arc<P>,
}

impl<S, P> WithCredentials<S, P> {
    pub(super) const fn new(inner: S, provider: Arc<P>) -> Self {
        Self { inner, provider }
    }
}

wraps_inner!(WithCredentials<S, P>);

impl<S, P, B, RB> Service<Request<B>> for WithCredentials<S, P>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    P: Credentials,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<P, S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = Caller::of(&request);
        ResponseFuture::new(self.provider.clone(), self.inner.clone(), request, caller)
    }
}

impl<S: Clone, P> Clone for WithCredentials<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.provider.clone())
    }
}

impl<S: fmt::Debug, P> fmt::Debug for WithCredentials<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithCredentials")
            .field("inner", &self.inner)
            .field("provider", &type_name::<P>())
            .finish()
    }
}
