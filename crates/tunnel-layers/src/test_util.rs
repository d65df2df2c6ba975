//! What the tests of several layers need.

use std::{
    convert::Infallible,
    future::Ready,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tower_service::Service;
use tunnel_core::BoxError;

/// A service that panics when it is called without having become ready, and whose clones are not ready. Like a service
/// with a limit, it becomes ready only when it is polled for the second time.
pub(crate) struct Probe {
    polls: usize,
    calls: Arc<AtomicUsize>,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self {
            polls: 0,
            calls: Arc::default(),
        }
    }

    /// How often this probe and its clones were called.
    pub(crate) fn calls(&self) -> Arc<AtomicUsize> {
        self.calls.clone()
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self {
            polls: 0,
            calls: self.calls.clone(),
        }
    }
}

impl<B> Service<Request<B>> for Probe {
    type Response = Response<Scripted>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls += 1;
        if self.polls < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(self.polls >= 2, "called without having become ready");
        self.polls = 0;
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(Scripted::of(["probe"]))))
    }
}

/// A body that yields what it is told to, and tells when it is dropped.
#[derive(Default)]
pub(crate) struct Scripted {
    steps: std::collections::VecDeque<Step>,
    /// Dropped with the body.
    guard: Option<Arc<()>>,
}

/// One poll of a [`Scripted`] body.
pub(crate) enum Step {
    Data(&'static str),
    Trailers(HeaderMap),
    Fail(BoxError),
    /// Pending for ever.
    Hang,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            guard: None,
        }
    }

    pub(crate) fn of(data: impl IntoIterator<Item = &'static str>) -> Self {
        Self::new(data.into_iter().map(Step::Data))
    }

    /// Keeps this until the body is dropped.
    pub(crate) fn holding(mut self, guard: Arc<()>) -> Self {
        self.guard = Some(guard);
        self
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(data)) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Fail(error)) => Some(Err(error)),
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }
}

/// A request that admission takes.
pub(crate) fn request(path: &str) -> Request<Scripted> {
    Request::builder()
        .uri(path)
        .header("host", "example.com")
        .body(Scripted::default())
        .expect("a valid request")
}

/// A request that admission and axum take.
pub(crate) fn axum_request(path: &str) -> Request<axum::body::Body> {
    request(path).map(|_| axum::body::Body::empty())
}

/// A gRPC request that admission takes.
pub(crate) fn grpc_request() -> Request<Scripted> {
    let mut request = request("/pkg.Service/Method");
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().insert("content-type", grpc());
    request
}

/// The content type of gRPC.
pub(crate) fn grpc() -> http::HeaderValue {
    http::HeaderValue::from_static("application/grpc")
}

/// Waits until `service` is ready for such a request.
pub(crate) async fn ready<S: Service<Request<Scripted>>>(service: &mut S) -> &mut S {
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    assert!(ready.is_ok(), "the service failed");
    service
}

/// Compiles for what every layer, service and body here has to be.
pub(crate) fn assert_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}

/// Compiles for what a server needs of futures and bodies.
pub(crate) fn assert_send<T: Send>(_: &T) {}
