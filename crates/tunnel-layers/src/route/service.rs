use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use tunnel_core::{TunnelError, admit::Canonical};

use super::{
    EitherBody, NotFound, Rules,
    compiled::{Answer, Ask, Compiled},
    future::ResponseFuture,
    registered::Registered,
};
use crate::{
    admission,
    reject::{Caller, ResponseBody},
};

/// The service of [`RouteLayer`](super::RouteLayer). It is always ready, and waits in its future until the service that gets
/// the request is.
#[derive(Clone, Debug)]
pub struct Route<S, M = NotFound> {
    inner: S,
    rules: Rules,
    registered: Registered,
    miss: M,
}

impl<S, M> Route<S, M> {
    /// Sends what `rules` match to `inner`, and the rest to `miss`.
    pub const fn new(inner: S, rules: Rules, miss: M) -> Self {
        Self {
            inner,
            rules,
            registered: Registered::none(),
            miss,
        }
    }

    pub(super) fn registered(self, registered: Registered) -> Self {
        Self { registered, ..self }
    }
}

wraps_inner!(Route<S, M>);

impl<S, M, B, RB, MB> Service<Request<B>> for Route<S, M>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    M: Service<Request<B>, Response = Response<MB>, Error = Infallible> + Clone,
{
    type Response = Response<EitherBody<ResponseBody<RB>, MB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, M, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = Caller::of(&request);
        let mut request = match admission::admit(request) {
            Ok(request) => request,
            Err(error) => return ResponseFuture::refused(error, caller),
        };
        let Some(rule) = find(&self.rules, &request) else {
            if let Some(routed) = self.registered.routed(&request) {
                request.extensions_mut().insert(routed);
                return ResponseFuture::registered(&mut self.inner, request, caller);
            }
            return ResponseFuture::missed(&mut self.miss, request, caller);
        };
        match apply(&rule, request) {
            Ok(Some(request)) => ResponseFuture::matched(&mut self.inner, request, rule, caller),
            Ok(None) => ResponseFuture::direct(rule, caller),
            Err(error) => ResponseFuture::refused(error, caller),
        }
    }
}

fn find<B>(rules: &Rules, request: &Request<B>) -> Option<Arc<Compiled>> {
    let canonical = request.extensions().get::<Canonical>()?;
    let (host, path) = (canonical.host(), canonical.path());
    let ask = Ask::new(host, path, request.method(), request.headers()).upgrade(request.extensions().get());
    rules.find(&ask).cloned()
}

/// Makes of the request what the rule wants it to be; none if the rule answers itself.
fn apply<B>(rule: &Compiled, mut request: Request<B>) -> Result<Option<Request<B>>, TunnelError> {
    let Answer::Routed(routed) = &rule.answer else {
        return Ok(None);
    };
    rule.rewrite.on_request(&mut request, &rule.path)?;
    request.extensions_mut().insert(routed.clone());
    Ok(Some(request))
}
