use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project::pin_project;
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tunnel_core::{
    admit::ExtendedConnect,
    head::Protocol,
    route::BodyIdle,
    upgrade::{Relayed, Stopping},
};

use crate::entry::{
    RequestBody,
    activity::Activity,
    body::EntryBody,
    executor::Mark,
    io::{AbortFlag, Use, UseFlag},
    secure::Peer,
    upgrade,
};

/// A tower service as hyper calls it, for one connection.
pub(super) struct EntryService<S> {
    pub(super) inner: S,
    pub(super) peer: Peer,
    pub(super) abort: AbortFlag,
    pub(super) usage: UseFlag,
    /// The entry is a lame duck.
    pub(super) leaving: CancellationToken,
    pub(super) stopping: Stopping,
    pub(super) activity: Activity,
    pub(super) body_idle: Option<Duration>,
    pub(super) calls_idle: bool,
}

impl<S> EntryService<S> {
    /// The time that this request's body has, in its extensions as well; none if it has no limit.
    fn watch_body(&self, request: &mut Request<Incoming>) -> Option<BodyIdle> {
        let limit = self.body_idle.filter(|_| !request.body().is_end_stream())?;
        // The streams of a call may be silent for as long as they like.
        let is_call =
            request.version() == Version::HTTP_2 && Protocol::of(request.headers()) == Protocol::Grpc;
        if is_call && !self.calls_idle {
            return None;
        }
        let idle = BodyIdle::new(limit);
        request.extensions_mut().insert(idle.clone());
        Some(idle)
    }
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
        request.extensions_mut().insert(self.stopping.clone());
        let version = request.version();
        let http1 = (version <= Version::HTTP_11).then(|| {
            self.usage.set(Use::Watched);
            self.activity.is_http1();
            OnHttp1 {
                usage: self.usage.clone(),
                is_connect: request.method() == Method::CONNECT,
                is_upgrade: upgrade::is_asked(&request),
                leaving: self.leaving.clone(),
            }
        });
        if http1.is_none() {
            self.activity.is_http2();
        }
        let idle = self.watch_body(&mut request);
        let request = request.map(|body| RequestBody::new(body, version, idle));
        EntryFuture {
            state: State::Ready {
                service: self.inner.clone(),
                request: Some(request),
            },
            abort,
            http1,
        }
    }
}

/// What becomes of a connection of HTTP/1.1 with the answer.
struct OnHttp1 {
    usage: UseFlag,
    is_connect: bool,
    is_upgrade: bool,
    leaving: CancellationToken,
}

impl OnHttp1 {
    fn answered<B>(&self, response: &mut Response<B>) {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success()) {
            let is_relayed = response.extensions().get::<Relayed>().is_some();
            self.usage
                .set(if is_relayed { Use::Relayed } else { Use::Upgraded });
        } else if self.is_upgrade || self.leaving.is_cancelled() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }
}

/// Waits until the service is ready, calls it, and wraps the body of its response.
#[pin_project]
pub(super) struct EntryFuture<S: Service<Request<RequestBody>>> {
    #[pin]
    state: State<S, S::Future>,
    abort: Option<AbortFlag>,
    http1: Option<OnHttp1>,
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
                    let polled = service.poll_ready(cx);
                    Mark::of(&polled).leave();
                    ready!(polled)?;
                    let request = request
                        .take()
                        .expect("the state changes when the request is taken");
                    let future = service.call(request);
                    this.state.set(State::Called(future));
                }
                StateProjection::Called(future) => {
                    let polled = future.poll(cx);
                    Mark::of(&polled).leave();
                    let mut response = ready!(polled)?;
                    if let Some(http1) = this.http1 {
                        http1.answered(&mut response);
                    }
                    let abort = this.abort.take();
                    return Poll::Ready(Ok(response.map(|body| EntryBody::new(body, abort))));
                }
            }
        }
    }
}
