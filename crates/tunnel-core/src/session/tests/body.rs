//! A body that the test feeds by hand, and a reader that reads as much as the test allows.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::runtime::{Join, TestRuntime};
use crate::{
    error::{BoxError, TunnelError},
    exchange::RecvHalf,
    head::ResponseHead,
    sync::{lock, register, wake},
};

/// The test's end of a [`FedBody`].
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<FeedState>>);

#[derive(Default)]
struct FeedState {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    ended: bool,
    exact: Option<u64>,
    polls: usize,
    dropped: bool,
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn new() -> (Self, FedBody) {
        let feed = Self::default();
        (feed.clone(), FedBody(feed))
    }

    fn change(&self, change: impl FnOnce(&mut FeedState)) {
        let waker = {
            let mut state = lock(&self.0);
            change(&mut state);
            state.waker.take()
        };
        wake(waker);
    }

    pub(crate) fn push(&self, data: impl Into<Bytes>) {
        let frame = Frame::data(data.into());
        self.change(|state| state.frames.push_back(Ok(frame)));
    }

    pub(crate) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    pub(crate) fn trailers(&self, trailers: HeaderMap) {
        self.change(|state| {
            state.frames.push_back(Ok(Frame::trailers(trailers)));
            state.ended = true;
        });
    }

    pub(crate) fn fail(&self, error: impl Into<BoxError>) {
        let error = error.into();
        self.change(|state| state.frames.push_back(Err(error)));
    }

    pub(crate) fn set_exact(&self, len: u64) {
        self.change(|state| state.exact = Some(len));
    }

    pub(crate) fn polls(&self) -> usize {
        lock(&self.0).polls
    }

    /// Frames that nobody has taken.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.0).frames.len()
    }

    pub(crate) fn is_dropped(&self) -> bool {
        lock(&self.0).dropped
    }
}

/// A body without a byte.
pub(crate) fn empty() -> FedBody {
    let (feed, body) = Feed::new();
    feed.end();
    body
}

/// A body of one frame.
pub(crate) fn full(data: impl Into<Bytes>) -> FedBody {
    let (feed, body) = Feed::new();
    feed.push(data);
    feed.end();
    body
}

pub(crate) struct FedBody(Feed);

impl Body for FedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.0.0);
        state.polls += 1;
        match state.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if state.ended => Poll::Ready(None),
            None => {
                register(&mut state.waker, cx.waker());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.0.0);
        state.ended && state.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0.0)
            .exact
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for FedBody {
    fn drop(&mut self) {
        lock(&self.0.0).dropped = true;
    }
}

/// What a [`Reader`] has read.
#[derive(Default)]
pub(crate) struct Got {
    pub(crate) head: Option<ResponseHead>,
    pub(crate) data: Vec<u8>,
    pub(crate) frames: usize,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) end: Option<Result<(), TunnelError>>,
    allowed: usize,
    waker: Option<Waker>,
}

/// A task that reads one direction, frame by frame, as many as it is allowed.
pub(crate) struct Reader {
    got: Arc<Mutex<Got>>,
    task: Join<()>,
}

impl Reader {
    /// Reads nothing of the body until it is [allowed](Self::allow). The head of a response is read first, at once.
    pub(crate) fn new(runtime: &TestRuntime, recv: RecvHalf, has_head: bool) -> Self {
        let got = Arc::new(Mutex::new(Got::default()));
        let task = runtime.start(read(recv, has_head, got.clone()));
        Self { got, task }
    }

    pub(crate) fn allow(&self, frames: usize) {
        let waker = {
            let mut got = lock(&self.got);
            got.allowed = got.allowed.saturating_add(frames);
            got.waker.take()
        };
        wake(waker);
    }

    pub(crate) fn all(self) -> Self {
        self.allow(usize::MAX);
        self
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Got) -> T) -> T {
        look(&lock(&self.got))
    }

    pub(crate) fn len(&self) -> usize {
        self.look(|got| got.data.len())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.look(|got| got.end.is_some())
    }

    /// The bytes, of a direction that ended as it should.
    pub(crate) fn complete(&self) -> Vec<u8> {
        self.look(|got| match &got.end {
            Some(Ok(())) => got.data.clone(),
            other => panic!("the direction has not ended well, but {other:?}"),
        })
    }

    pub(crate) fn error(&self) -> TunnelError {
        self.look(|got| match &got.end {
            Some(Err(error)) => error.clone(),
            other => panic!("the direction has not failed, but {other:?}"),
        })
    }

    /// Drops the half that it reads from.
    pub(crate) fn abort(&self) {
        self.task.abort();
    }

    pub(crate) fn wakes(&self) -> usize {
        self.task.wakes()
    }
}

async fn read(mut recv: RecvHalf, has_head: bool, got: Arc<Mutex<Got>>) {
    if has_head {
        match poll_fn(|cx| recv.poll_head(cx)).await {
            Ok(head) => lock(&got).head = Some(head),
            Err(error) => {
                lock(&got).end = Some(Err(error));
                return;
            }
        }
    }
    loop {
        poll_fn(|cx| {
            let mut got = lock(&got);
            if got.allowed > 0 {
                got.allowed -= usize::from(got.allowed < usize::MAX);
                return Poll::Ready(());
            }
            register(&mut got.waker, cx.waker());
            Poll::Pending
        })
        .await;
        let frame = poll_fn(|cx| recv.poll_frame(cx)).await;
        let mut got = lock(&got);
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    assert!(!data.is_empty(), "an empty piece of body");
                    got.frames += 1;
                    got.data.extend_from_slice(&data);
                }
                Err(frame) => got.trailers = frame.into_trailers().ok(),
            },
            Some(Err(error)) => {
                got.end = Some(Err(error));
                return;
            }
            None => {
                assert!(recv.is_end_stream());
                got.end = Some(Ok(()));
                return;
            }
        }
    }
}
