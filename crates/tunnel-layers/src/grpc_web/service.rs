use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use tower_layer::Layer as _;
use tower_service::Service;
use tunnel_core::BoxError;

use super::{
    Cors, WebBody,
    answering::Answering,
    failure::{Failure, Watched},
    format::{self, Encoding},
    future::ResponseFuture,
    translate::{Saved, Translate},
};
use crate::{
    admission,
    reject::{Caller, NoBody, ResponseBody},
};

/// The service of [`GrpcWebLayer`](super::GrpcWebLayer).
#[derive(Clone, Debug)]
pub struct GrpcWeb<S> {
    inner: S,
    cors: Option<Arc<Cors>>,
}

impl<S> GrpcWeb<S> {
    pub(super) const fn new(inner: S, cors: Option<Arc<Cors>>) -> Self {
        Self { inner, cors }
    }
}

wraps_inner!(GrpcWeb<S>);

impl<S, B, RB> Service<Request<B>> for GrpcWeb<S>
where
    S: Service<Request<WebBody<B>>, Response = Response<RB>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<WebBody<ResponseBody<RB>>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some((content, end)) = format::of(&request) {
            let grpc = format::grpc(end);
            return self.translate(request, content, grpc);
        }
        match &self.cors {
            Some(cors) if Cors::is_preflight(&request) => {
                ResponseFuture::answer(cors.preflight(&request), None)
            }
            _ => ResponseFuture::plain(self.inner.call(request.map(WebBody::plain))),
        }
    }
}

impl<S> GrpcWeb<S> {
    /// Calls the wrapped service with what `request` is in gRPC, whose content type is then `grpc`.
    fn translate<B, RB>(
        &mut self,
        mut request: Request<B>,
        content: Encoding,
        grpc: HeaderValue,
    ) -> ResponseFuture<S::Future>
    where
        S: Service<Request<WebBody<B>>, Response = Response<RB>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        // The service behind is called in gRPC.
        admission::forget(&mut request);
        let headers = request.headers_mut();
        let answer = Encoding::accepted(headers, content);
        let answering = Answering::new(answer, self.cors.as_ref(), headers);
        headers.insert(header::CONTENT_TYPE, grpc);
        if let Err(error) = admission::ensure(&mut request) {
            let response = Caller::of(&request).reject::<NoBody>(&error).map(|_| ());
            return ResponseFuture::answer(response, Some(answering));
        }
        let saved = Saved::take(request.headers_mut(), content, answer);
        let failure = Failure::default();
        let request = request.map(|body| Watched::new(body, failure.clone()));
        let inner = Translate::new(&mut self.inner, saved, failure);
        let mut web = tonic_web::GrpcWebLayer::new().layer(inner);
        ResponseFuture::translated(web.call(request), answering)
    }
}
