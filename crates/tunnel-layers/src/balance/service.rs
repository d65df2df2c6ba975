use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::{Agents, AsTunnelError, Member, balance::Pick};

use super::{
    Lent, ResponseFuture,
    balancing::Shared,
    choose::{Placed, place},
    future::Again,
    retry::Retry,
    standing::Standing,
};
use crate::{admission, reject::ResponseBody, repeat::Policy};

/// Chooses a session for each request; see the [module](super).
#[derive(Debug)]
pub struct Balance<S, A, P> {
    pub(super) inner: S,
    pub(super) agents: A,
    pub(super) shared: Arc<Shared<P>>,
}

wraps_inner!(Balance<S, A, P>);

impl<S: Clone, A: Clone, P> Clone for Balance<S, A, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            agents: self.agents.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<S, A, P, B, RB> Service<Request<B>> for Balance<S, A, P>
where
    S: Service<Request<Lent<B>>, Response = Response<RB>> + Clone,
    S::Error: AsTunnelError,
    A: Agents,
    P: Pick<Member>,
    B: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, A, P, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::rejected(caller, error);
        }
        let (member, alone) = match place(&self.agents, &self.shared, &request) {
            Ok(Placed::At(member, alone)) => (member, alone),
            Ok(Placed::InLine(wait)) => {
                let (agents, shared) = (self.agents.clone(), self.shared.clone());
                let standing = Standing::new(request, self.take_ready(), agents, shared, wait);
                return ResponseFuture::in_line(caller, standing);
            }
            Err(error) => return ResponseFuture::rejected(caller, error),
        };
        let policy = Policy::of(&request);
        // Alone in its group, a session needs no copy of the head: there is nobody else to try, and nobody to compare it with.
        if alone && policy.is_none() {
            request.extensions_mut().insert(member.session);
            return ResponseFuture::called(caller, self.inner.call(request.map(Lent::owned)), None);
        }
        let (agents, shared) = (self.agents.clone(), self.shared.clone());
        let (request, watch, retry) = Retry::first(request, &member, policy, agents, shared);
        let mut inner = self.take_ready();
        let future = inner.call(request);
        ResponseFuture::called(caller, future, Some(Again::new(inner, watch, retry)))
    }
}

impl<S: Clone, A, P> Balance<S, A, P> {
    /// The wrapped service, which is ready; a clone of it, which may not be, stays here.
    fn take_ready(&mut self) -> S {
        let spare = self.inner.clone();
        mem::replace(&mut self.inner, spare)
    }
}
