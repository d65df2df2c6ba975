//! What tonic-web wraps: it hands a translated request on, and takes apart what comes back.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::Record;

use super::{
    WebBody,
    failure::{Failure, Watched, note_status},
    format::{self, Encoding},
};
use crate::reject::{Dialect, ResponseBody};

/// Headers that tonic-web reads in its own form, or replaces, as they are to be inside.
pub(super) struct Saved {
    request: [(HeaderName, Vec<HeaderValue>); 3],
    content: Encoding,
    answer: Encoding,
}

impl Saved {
    /// Takes them out, and puts in what tonic-web is to read.
    pub(super) fn take(headers: &mut HeaderMap, content: Encoding, answer: Encoding) -> Self {
        let request = [header::CONTENT_TYPE, header::ACCEPT, header::ACCEPT_ENCODING].map(|name| {
            let values = headers.get_all(&name).iter().cloned().collect();
            (name, values)
        });
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content.name()));
        headers.insert(header::ACCEPT, HeaderValue::from_static(answer.name()));
        Self {
            request,
            content,
            answer,
        }
    }

    fn restore(&mut self, headers: &mut HeaderMap) {
        for (name, values) in &mut self.request {
            headers.remove(&*name);
            for value in values.drain(..) {
                headers.append(&*name, value);
            }
        }
    }
}

/// Calls the wrapped service, which has become ready before.
pub(super) struct Translate<'a, S, B> {
    inner: &'a mut S,
    saved: Saved,
    failure: Failure,
    _body: PhantomData<fn(B)>,
}

impl<'a, S, B> Translate<'a, S, B> {
    /// `failure` is that of the request's body.
    pub(super) const fn new(inner: &'a mut S, saved: Saved, failure: Failure) -> Self {
        Self {
            inner,
            saved,
            failure,
            _body: PhantomData,
        }
    }
}

impl<S, B, RB> Service<Request<tonic::body::Body>> for Translate<'_, S, B>
where
    S: Service<Request<WebBody<B>>, Response = Response<RB>>,
{
    type Response = Response<Watched<RB>>;
    type Error = Untranslated<RB, S::Error>;
    type Future = TranslateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Untranslated::Failed)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        self.saved.restore(request.headers_mut());
        // gRPC is spoken over HTTP/2 only. The request was admitted, so nothing of HTTP/1.1's framing is left in it.
        *request.version_mut() = Version::HTTP_2;
        let (content, failure) = (self.saved.content, self.failure.clone());
        let record = request.extensions().get().cloned();
        let request = request.map(|body| WebBody::request(body, content, failure));
        TranslateFuture {
            inner: self.inner.call(request),
            answer: self.saved.answer,
            record,
        }
    }
}

/// What tonic-web must not touch. It passes errors on as they are.
pub(super) enum Untranslated<RB, E> {
    /// A response that is not gRPC: it goes to the client as it is, which makes a status of gRPC of the one of HTTP.
    Plain(Response<ResponseBody<RB>>),
    Failed(E),
}

/// What goes around tonic-web, in the extensions of a response.
#[derive(Clone)]
pub(super) struct Aside {
    /// What the content type is to be: tonic-web puts its own in the place.
    pub(super) content_type: HeaderValue,
    /// That of the body.
    pub(super) failure: Failure,
}

#[pin_project]
pub(super) struct TranslateFuture<F> {
    #[pin]
    inner: F,
    answer: Encoding,
    /// Where the status of the call is noted, which only tonic-web can read further out.
    record: Option<Record>,
}

impl<F, RB, E> Future for TranslateFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<Watched<RB>>, Untranslated<RB, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx)).map_err(Untranslated::Failed)?;
        if Dialect::of(response.headers()) != Dialect::Grpc {
            return Poll::Ready(Err(Untranslated::Plain(response.map(ResponseBody::inner))));
        }
        let aside = Aside {
            content_type: format::web(response.headers(), *this.answer),
            failure: Failure::default(),
        };
        let failure = aside.failure.clone();
        response.extensions_mut().insert(aside);
        let record = this.record.take();
        if let Some(record) = &record {
            note_status(record, response.headers());
        }
        Poll::Ready(Ok(response.map(|body| Watched::new(body, failure).noting(record))))
    }
}
