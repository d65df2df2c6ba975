use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, header};
use tower_service::Service;
use tunnel_core::{Record, Routed};

use super::ResponseFuture;
use crate::{
    admission::admit,
    reject::{Caller, ResponseBody},
};

/// The service of [`TargetLayer`](super::TargetLayer).
#[derive(Clone, Debug)]
pub struct ToTarget<S> {
    inner: S,
    routed: Routed,
    host: HeaderValue,
}

impl<S> ToTarget<S> {
    pub(super) const fn new(inner: S, routed: Routed, host: HeaderValue) -> Self {
        Self { inner, routed, host }
    }
}

wraps_inner!(ToTarget<S>);

impl<S, B, RB> Service<Request<B>> for ToTarget<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller = Caller::of(&request);
        name_host(&mut request, &self.host);
        match admit(request) {
            Ok(mut request) => {
                if let Some(record) = request.extensions().get::<Record>() {
                    record.note_routed(&self.routed);
                }
                request.extensions_mut().insert(self.routed.clone());
                ResponseFuture::new(self.inner.call(request))
            }
            Err(error) => ResponseFuture::rejected(caller, error),
        }
    }
}

/// A request that was made in this process may have its host in the target alone, or nowhere.
fn name_host<B>(request: &mut Request<B>, default: &HeaderValue) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let host = match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()),
        None => Ok(default.clone()),
    };
    // Of an authority that no header can hold, admission makes a refusal.
    if let Ok(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}
