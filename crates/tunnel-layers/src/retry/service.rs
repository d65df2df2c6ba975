use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::{AsTunnelError, Runtime, retry::Tried};

use super::{ResponseFuture, future::Again};
use crate::{admission, lent::Lent, reject::ResponseBody, repeat::Policy};

/// Sends requests again, where their rule allows it; see the [module](super).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    pub(super) inner: S,
    pub(super) runtime: Arc<dyn Runtime>,
}

wraps_inner!(Retry<S>);

impl<S, B, RB> Service<Request<B>> for Retry<S>
where
    S: Service<Request<Lent<B>>, Response = Response<RB>> + Clone,
    S::Error: AsTunnelError,
    B: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::rejected(caller, error);
        }
        let Some(policy) = Policy::of(&request) else {
            return ResponseFuture::called(caller, self.inner.call(request.map(Lent::owned)), None);
        };
        policy.note(self.runtime.now());
        request.extensions_mut().insert(Tried::default());
        let (parts, body) = request.into_parts();
        let (body, loan) = Lent::lend(body, policy.replay_limit());
        let request = Request::from_parts(parts.clone(), body);
        let mut inner = self.take_ready();
        let future = inner.call(request);
        let again = Again {
            inner,
            runtime: self.runtime.clone(),
            policy,
            parts,
            loan: Some(loan),
            tried: 1,
        };
        ResponseFuture::called(caller, future, Some(again))
    }
}

impl<S: Clone> Retry<S> {
    /// The wrapped service, which is ready; a clone of it, which may not be, stays here.
    fn take_ready(&mut self) -> S {
        let spare = self.inner.clone();
        mem::replace(&mut self.inner, spare)
    }
}
