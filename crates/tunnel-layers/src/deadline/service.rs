use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::{BoxError, Timeouts, route::BodyIdle};

use super::{DeadlineBody, UploadBody, future::ResponseFuture, time::plan, upload::Upload};
use crate::admission;

/// The service of [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Clone, Copy, Debug)]
pub struct Deadline<S> {
    inner: S,
    default: Timeouts,
}

impl<S> Deadline<S> {
    /// Wraps `inner`; `default` holds for exchanges whose rule says nothing.
    pub const fn new(inner: S, default: Timeouts) -> Self {
        Self { inner, default }
    }
}

wraps_inner!(Deadline<S>);

impl<S, B, RB> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<UploadBody<B>>, Response = Response<RB>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<DeadlineBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        let plan = admitted.and_then(|()| plan(&mut request, caller.dialect(), &self.default));
        match plan {
            Ok(plan) => {
                if let (true, Some(idle)) = (plan.rules_upload, request.extensions().get::<BodyIdle>()) {
                    idle.set(None);
                }
                let is_watched = plan.watches_upload() && !request.body().is_end_stream();
                let upload = is_watched.then(|| Upload::new(plan.request_idle));
                let request = request.map(|body| UploadBody::new(body, upload.clone()));
                ResponseFuture::called(self.inner.call(request), plan, upload, caller)
            }
            Err(error) => ResponseFuture::refused(error, caller),
        }
    }
}
