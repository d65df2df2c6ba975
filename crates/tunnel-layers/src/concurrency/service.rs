use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{ConcurrencyBody, future::ResponseFuture, limiter::Limiter};
use crate::{
    admission,
    key::{Head, KeyExtractor},
};

/// The service of [`ConcurrencyLayer`](super::ConcurrencyLayer). It is always ready, and waits in its future: for a place, and
/// then until the wrapped service is ready.
#[derive(Clone)]
pub struct Concurrency<S, K> {
    inner: S,
    limiter: Arc<Limiter>,
    key: K,
}

impl<S, K> Concurrency<S, K> {
    pub(super) const fn new(inner: S, limiter: Arc<Limiter>, key: K) -> Self {
        Self { inner, limiter, key }
    }
}

wraps_inner!(Concurrency<S, K>);

impl<S, K, B, RB> Service<Request<B>> for Concurrency<S, K>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    K: KeyExtractor,
{
    type Response = Response<ConcurrencyBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::refused(error, caller);
        }
        if !self.limiter.counts_keys(request.extensions()) {
            return ResponseFuture::new(&mut self.inner, request, &self.limiter, None, caller);
        }
        let key = self.limiter.key(Head::of(&request), &self.key);
        ResponseFuture::new(&mut self.inner, request, &self.limiter, key, caller)
    }
}

impl<S: fmt::Debug, K> fmt::Debug for Concurrency<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
