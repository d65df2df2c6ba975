use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::BoxError;

use super::{ResponseFuture, UpgradeBody, ask, layer::Settings};
use crate::{admission, reject::ResponseBody};

/// Carries out upgrades; see the [module](super).
#[derive(Clone, Debug)]
pub struct Upgrade<S> {
    inner: S,
    settings: Settings,
}

impl<S> Upgrade<S> {
    /// Hands every request to `inner`, and carries out the upgrades that it grants, without limits of its own.
    pub const fn new(inner: S) -> Self {
        let settings = Settings {
            idle: None,
            ping: None,
            runtime: None,
        };
        Self { inner, settings }
    }

    pub(super) const fn with(inner: S, settings: Settings) -> Self {
        Self { inner, settings }
    }
}

wraps_inner!(Upgrade<S>);

impl<S, B, RB> Service<Request<B>> for Upgrade<S>
where
    S: Service<Request<UpgradeBody<B>>, Response = Response<RB>>,
    B: Body,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::rejected(caller, error);
        }
        if !ask::is_upgrade(&request) {
            return ResponseFuture::called(caller, self.inner.call(request.map(UpgradeBody::plain)), None);
        }
        match ask::ask(request, &self.settings) {
            Ok((request, asked)) => ResponseFuture::called(caller, self.inner.call(request), asked),
            Err(error) => ResponseFuture::rejected(caller, error),
        }
    }
}
