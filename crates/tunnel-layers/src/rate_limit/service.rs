use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use tunnel_core::{Cause, Initiator, Sent, TunnelError};

use super::{
    future::{ResponseFuture, Told},
    limiter::Verdict,
    limiters::Limiters,
};
use crate::{
    admission,
    key::{Head, KeyExtractor},
    reject::ResponseBody,
};

/// The service of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone)]
pub struct RateLimit<S, K> {
    inner: S,
    limiters: Arc<Limiters>,
    key: K,
}

impl<S, K> RateLimit<S, K> {
    pub(super) const fn new(inner: S, limiters: Arc<Limiters>, key: K) -> Self {
        Self { inner, limiters, key }
    }
}

wraps_inner!(RateLimit<S, K>);

impl<S, K: KeyExtractor> RateLimit<S, K> {
    /// What the answer to a request tells that may go on.
    fn check(&self, head: Head<'_>) -> Result<Option<Told>, Refusal> {
        let key = self.key.key(&head);
        let Some((limiter, verdict)) = key.and_then(|key| self.limiters.check(head.extensions, key)) else {
            return Ok(None);
        };
        let told = |limiter| Told::new(self.limiters.clone(), limiter, verdict);
        match verdict {
            Verdict::Beyond { retry_after } => {
                let error = TunnelError::new(Cause::RateLimited, Initiator::Caller, "too many requests")
                    .with_sent(Sent::No)
                    .with_retry_after(retry_after);
                Err((error, Some(told(limiter))))
            }
            Verdict::Within { .. } => Ok(self.limiters.settings.tells_always.then(|| told(limiter))),
        }
    }
}

/// Why a request does not go on, and what its answer tells.
type Refusal = (TunnelError, Option<Told>);

impl<S, K, B, RB> Service<Request<B>> for RateLimit<S, K>
where
    S: Service<Request<B>, Response = Response<RB>>,
    K: KeyExtractor,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.key.is_for_nobody() {
            return ResponseFuture::called(self.inner.call(request), None);
        }
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::refused(error, None, caller);
        }
        match self.check(Head::of(&request)) {
            Ok(told) => ResponseFuture::called(self.inner.call(request), told),
            Err((error, told)) => ResponseFuture::refused(error, told, caller),
        }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for RateLimit<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiters", &self.limiters)
            .finish_non_exhaustive()
    }
}
