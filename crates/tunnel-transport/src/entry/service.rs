use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::admit::ExtendedConnect;

use crate::entry::{
    RequestBody,
    body::EntryBody,
    io::{AbortFlag, WatchFlag},
    secure::Peer,
};

/// A tower service as hyper calls it, for one connection.
pub(super) struct EntryService<S> {
    pub(super) inner: S,
    pub(super) peer: Peer,
    pub(super) abort: AbortFlag,
    pub(super) watch: WatchFlag,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for EntryService<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
{
    type Response = Response<EntryBody<B>>;
    type Error = S::Error;
    type Future = EntryFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> EntryFuture<S> {
        // hyper frames a response to HTTP/1.1 and 2 so that its end shows; to HTTP/1.0 it may end with the connection.
        let abort = (request.version() <= Version::HTTP_10).then(|| self.abort.clone());
        if let Some(protocol) = request.extensions().get::<hyper::ext::Protocol>() {
            // What is no header value names no protocol that anybody serves, and the CONNECT is then refused.
            if let Ok(protocol) = HeaderValue::from_bytes(protocol.as_ref()) {
                request.extensions_mut().insert(ExtendedConnect { protocol });
            }
        }
        self.peer.put_into(request.extensions_mut());
        // Over HTTP/2 the codec always reads, and sees for itself.
        let watch = (request.version() <= Version::HTTP_11).then(|| self.watch.clone());
        if let Some(watch) = &watch {
            // After a CONNECT the stream belongs to somebody else, as it does after a 101.
            watch.set(request.method() != Method::CONNECT);
        }
        let version = request.version();
        let request = request.map(|body| RequestBody::new(body, version));
        EntryFuture {
            state: State::Ready {
                service: self.inner.clone(),
                request: Some(request),
            },
            abort,
            watch,
        }
    }
}

/// Waits until the service is ready, calls it, and wraps the body of its response.
#[pin_project]
pub(super) struct EntryFuture<S: Service<Request<RequestBody>>> {
    #[pin]
    state: State<S, S::Future>,
    abort: Option<AbortFlag>,
    watch: Option<WatchFlag>,
}

/// It becomes a `Called` at its first poll, almost always, so a box for the request would only cost.
#[allow(clippy::large_enum_variant)]
#[pin_project(project = StateProjection)]
enum State<S, F> {
    Ready {
        service: S,
        request: Option<Request<RequestBody>>,
    },
    Called(#[pin] F),
}

impl<S, B> Future for EntryFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Output = Result<Response<EntryBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Ready { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request
                        .take()
                        .expect("the state changes when the request is taken");
                    let future = service.call(request);
                    this.state.set(State::Called(future));
                }
                StateProjection::Called(future) => {
                    let response = ready!(future.poll(cx))?;
                    if let (StatusCode::SWITCHING_PROTOCOLS, Some(watch)) = (response.status(), &this.watch) {
                        watch.set(false);
                    }
                    let abort = this.abort.take();
                    return Poll::Ready(Ok(response.map(|body| EntryBody::new(body, abort))));
                }
            }
        }
    }
}
