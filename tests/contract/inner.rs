//! The service inside each layer: it panics when it is called without having become ready, and its clones are not ready.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;
use tunnel_core::BoxError;

use crate::body::TestBody;

/// How the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With this body.
    Full,
    Hanging,
    /// Never.
    Never,
    /// With an error.
    Fail,
    /// It does not become ready, with an error.
    Unready,
}

/// What a service and its clones have seen. Everything here belongs to all of them.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: AtomicUsize,
    /// Futures that are alive.
    pub(crate) futures: AtomicUsize,
    /// The body of the last answer.
    pub(crate) body: Mutex<Option<std::sync::Weak<()>>>,
}

pub(crate) struct Inner {
    answer: Answer,
    /// Like a service with a limit, it becomes ready only when it is polled for the second time.
    polls: usize,
    seen: Arc<Seen>,
}

impl Inner {
    pub(crate) fn new(answer: Answer) -> Self {
        Self {
            answer,
            polls: 0,
            seen: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.seen.clone()
    }
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        Self {
            answer: self.answer,
            polls: 0,
            seen: self.seen.clone(),
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inner")
    }
}

impl<B> Service<Request<B>> for Inner
where
    B: Body<Data = Bytes>,
{
    type Response = Response<TestBody>;
    type Error = BoxError;
    type Future = Answering<B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.polls += 1;
        if self.polls < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.answer == Answer::Unready {
            return Poll::Ready(Err("it does not become ready".into()));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering<B> {
        assert!(self.polls >= 2, "called without having become ready");
        self.polls = 0;
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        self.seen.futures.fetch_add(1, Ordering::SeqCst);
        Answering {
            answer: self.answer,
            _request: Box::pin(request),
            seen: self.seen.clone(),
        }
    }
}

/// The future of [`Inner`]; it keeps the request.
pub(crate) struct Answering<B> {
    answer: Answer,
    _request: Pin<Box<Request<B>>>,
    seen: Arc<Seen>,
}

impl<B> Future for Answering<B> {
    type Output = Result<Response<TestBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let body = match self.answer {
            Answer::Never => return Poll::Pending,
            Answer::Fail | Answer::Unready => return Poll::Ready(Err("it failed".into())),
            Answer::Full => TestBody::full(),
            Answer::Hanging => TestBody::hanging(),
        };
        *self.seen.body.lock().expect("nobody panics with it") = Some(body.watch());
        let response = Response::builder()
            .header("set-cookie", crate::body::SECRET)
            .body(body);
        Poll::Ready(Ok(response.expect("a valid response")))
    }
}

impl<B> Drop for Answering<B> {
    fn drop(&mut self) {
        self.seen.futures.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<B> fmt::Debug for Answering<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}
