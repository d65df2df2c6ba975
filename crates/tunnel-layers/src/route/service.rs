use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use tunnel_core::{Record, TunnelError, admit::Canonical};

use super::{
    EitherBody, NotFound, RouteHandle, Rules,
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
    rules: RouteHandle,
    registered: Registered,
    miss: M,
}

impl<S, M> Route<S, M> {
    /// Sends what `rules` match to `inner`, and the rest to `miss`.
    pub fn new(inner: S, rules: Rules, miss: M) -> Self {
        Self::with(inner, RouteHandle::new(rules), miss)
    }

    pub(super) const fn with(inner: S, rules: RouteHandle, miss: M) -> Self {
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(error) = admission::ensure(&mut request) {
            return ResponseFuture::refused(error, Caller::of(&request));
        }
        let Some(rule) = find(&self.rules, &self.registered, &request) else {
            if let Some(routed) = self.registered.routed(&request) {
                if let Some(record) = request.extensions().get::<Record>() {
                    record.note_routed(&routed);
                }
                request.extensions_mut().insert(routed);
                return ResponseFuture::registered(&mut self.inner, request);
            }
            return ResponseFuture::missed(&mut self.miss, request);
        };
        match apply(&rule, &self.registered, &mut request) {
            Ok(true) => ResponseFuture::matched(&mut self.inner, request, rule),
            Ok(false) => ResponseFuture::direct(rule, Caller::of(&request)),
            Err(error) => ResponseFuture::refused(error, Caller::of(&request)),
        }
    }
}

fn find<B>(rules: &RouteHandle, registered: &Registered, request: &Request<B>) -> Option<Arc<Compiled>> {
    let canonical = request.extensions().get::<Canonical>()?;
    let (host, path) = (canonical.host(), canonical.path());
    let ask = Ask::new(host, path, request.method(), request.headers())
        .upgrade(request.extensions().get())
        .hosts(registered.hosts());
    rules.find(&ask)
}

/// Makes of the request what the rule wants it to be; false if the rule answers itself.
fn apply<B>(rule: &Compiled, registered: &Registered, request: &mut Request<B>) -> Result<bool, TunnelError> {
    if let Some(record) = request.extensions().get::<Record>() {
        match &rule.answer {
            Answer::Routed(routed) => record.note_routed(routed),
            Answer::Direct(_) => record.note_rule(&rule.id, None),
        }
    }
    let Answer::Routed(routed) = &rule.answer else {
        return Ok(false);
    };
    if routed.registered_host && registered.hosts().is_none() {
        return Err(TunnelError::internal(
            "a rule is for hosts that agents have registered, and nobody has said which those are: give RouteLayer its `hosts`",
        ));
    }
    rule.rewrite.on_request(request, &rule.path)?;
    request.extensions_mut().insert(routed.clone());
    Ok(true)
}
