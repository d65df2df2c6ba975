use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{
    BoxError,
    admit::ExtendedConnect,
    head::Protocol,
    route::{Arrival, BodyIdle},
    upgrade::{Relayed, Stopping},
};

use crate::{
    entry::{
        RequestBody,
        activity::Activity,
        body::EntryBody,
        executor::Mark,
        io::{AbortFlag, Use, UseFlag},
        secure::Peer,
        shared::Shared,
        upgrade,
    },
    runtime,
};

/// A tower service as hyper calls it, for one connection.
pub(super) struct EntryService<S> {
    /// In a cell, because hyper calls by reference. It is borrowed for the time of one call, in which nobody else calls.
    pub(super) inner: RefCell<S>,
    pub(super) shared: Shared,
    pub(super) peer: Peer,
    /// For requests that ask for a stream, which would go on for ever.
    pub(super) stopping: Stopping,
    pub(super) abort: AbortFlag,
    pub(super) usage: UseFlag,
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
    S::Error: Into<BoxError>,
{
    type Response = Response<EntryBody<B>>;
    type Error = BoxError;
    type Future = EntryFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> EntryFuture<S> {
        // hyper frames a response to HTTP/1.1 and 2 so that its end shows; to HTTP/1.0 it may end with the connection.
        let abort = (request.version() <= Version::HTTP_10).then(|| self.abort.clone());
        self.shared.put_into(request.extensions_mut());
        self.peer.put_into(request.extensions_mut());
        let is_connect = request.method() == Method::CONNECT;
        let is_upgrade = upgrade::is_asked(&request);
        if is_connect || is_upgrade {
            request.extensions_mut().insert(self.stopping.clone());
        }
        // What is no header value names no protocol that anybody serves, and the CONNECT is then refused.
        if is_connect
            && let Some(protocol) = request.extensions().get::<hyper::ext::Protocol>()
            && let Ok(protocol) = HeaderValue::from_bytes(protocol.as_ref())
        {
            request.extensions_mut().insert(ExtendedConnect { protocol });
        }
        let version = request.version();
        let http1 = (version <= Version::HTTP_11).then(|| {
            self.usage.set(Use::Watched);
            self.activity.is_http1();
            OnHttp1 {
                usage: self.usage.clone(),
                is_connect,
                is_upgrade,
                activity: self.activity.clone(),
            }
        });
        if http1.is_none() {
            self.activity.is_http2();
        }
        let idle = self.watch_body(&mut request);
        let request = request.map(|body| RequestBody::new(body, version, idle));
        let state = match http1 {
            Some(_) => State::now(&self.inner, request),
            None => State::later(&self.inner, request),
        };
        EntryFuture { state, abort, http1 }
    }
}

/// What becomes of a connection of HTTP/1.1 with the answer.
struct OnHttp1 {
    usage: UseFlag,
    is_connect: bool,
    is_upgrade: bool,
    activity: Activity,
}

impl OnHttp1 {
    fn answered<B>(&self, response: &mut Response<B>) {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success()) {
            let is_relayed = response.extensions().get::<Relayed>().is_some();
            self.usage
                .set(if is_relayed { Use::Relayed } else { Use::Upgraded });
        } else if self.is_upgrade || self.activity.is_leaving() {
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

#[pin_project(project = StateProjection)]
enum State<S, F> {
    /// With what is called. Boxed, because it is larger than the call, and rare over HTTP/1.1, whose calls are moved into their place.
    Ready(Box<(S, Option<Request<RequestBody>>)>),
    Called(#[pin] F),
    Unready(Option<BoxError>),
}

impl<S> State<S, S::Future>
where
    S: Service<Request<RequestBody>> + Clone,
    S::Error: Into<BoxError>,
{
    /// Calls the service in the task of its stream: streams of HTTP/2 work side by side, and one that panics takes only itself
    /// along.
    fn later(service: &RefCell<S>, mut request: Request<RequestBody>) -> Self {
        note_arrival(&mut request);
        Self::Ready(Box::new((service.borrow().clone(), Some(request))))
    }

    /// Calls the service where it stands: a connection of HTTP/1.1 has one request at a time, and needs no clone for each. If it
    /// is not ready, the one that was asked waits in the future, for it may have a place in a line, and a clone stands in for it.
    fn now(service: &RefCell<S>, mut request: Request<RequestBody>) -> Self {
        let mut service = service.borrow_mut();
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Self::Called(service.call(request)),
            Poll::Ready(Err(error)) => Self::Unready(Some(error.into())),
            Poll::Pending => {
                note_arrival(&mut request);
                let spare = service.clone();
                Self::Ready(Box::new((mem::replace(&mut *service, spare), Some(request))))
            }
        }
    }
}

/// Says when a request came that is not called at once: whoever is, asks for the time of the same turn.
fn note_arrival(request: &mut Request<RequestBody>) {
    let now = runtime::now().into_std();
    request.extensions_mut().insert(Arrival(now));
}

impl<S, B> Future for EntryFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<EntryBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Unready(error) => {
                    // Taken once: it is the end of this future.
                    return mem::take(error).map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
                StateProjection::Ready(waiting) => {
                    let (service, request) = &mut **waiting;
                    let polled = service.poll_ready(cx);
                    Mark::of(&polled).leave();
                    ready!(polled).map_err(Into::into)?;
                    let request = request
                        .take()
                        .expect("the state changes when the request is taken");
                    let future = service.call(request);
                    this.state.set(State::Called(future));
                }
                StateProjection::Called(future) => {
                    let polled = future.poll(cx);
                    Mark::of(&polled).leave();
                    return Poll::Ready(match ready!(polled) {
                        Ok(mut response) => {
                            if let Some(http1) = this.http1 {
                                http1.answered(&mut response);
                            }
                            let abort = this.abort.take();
                            Ok(response.map(|body| EntryBody::new(body, abort)))
                        }
                        Err(error) => Err(error.into()),
                    });
                }
            }
        }
    }
}
