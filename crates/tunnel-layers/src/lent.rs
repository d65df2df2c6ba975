//! Bodies that may be sent once more.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

/// What of a body is kept to be played again, in bytes: what goes with the head, and a little more. A body of which more was
/// read is not sent a second time, unless the rule's [`RetryPolicy`](tunnel_core::RetryPolicy) keeps more.
pub const MAX_REPLAY_BYTES: usize = 64 * 1024;

/// A request's body on its way into a session: it can be taken back as long as the request may be sent to another one.
#[pin_project]
pub struct Lent<B>(#[pin] Kind<B>);

#[pin_project(project = KindProj)]
enum Kind<B> {
    Owned(#[pin] B),
    Lent(Arc<Mutex<State<B>>>),
}

/// The lender's side of a [`Lent`] body.
pub(crate) struct Loan<B>(Arc<Mutex<State<B>>>);

struct State<B> {
    /// Boxed, because it may have been polled when it is taken back.
    body: Option<Pin<Box<B>>>,
    /// What has been read of it; `None` once that was too much, or once it is certain that nobody asks for it.
    read: Option<Vec<Bytes>>,
    read_bytes: usize,
    /// How much that may be.
    limit: usize,
    /// What is played again before the body goes on.
    replay: VecDeque<Bytes>,
}

impl<B> Lent<B> {
    pub(crate) const fn owned(body: B) -> Self {
        Self(Kind::Owned(body))
    }

    /// The body, and what takes it back while at most `limit` bytes of it were read.
    pub(crate) fn lend(body: B, limit: usize) -> (Self, Loan<B>) {
        Self::from_parts(Box::pin(body), VecDeque::new(), limit)
    }

    fn from_parts(body: Pin<Box<B>>, replay: VecDeque<Bytes>, limit: usize) -> (Self, Loan<B>) {
        let state = State {
            limit,
            body: Some(body),
            read: Some(Vec::new()),
            read_bytes: 0,
            replay,
        };
        let shared = Arc::new(Mutex::new(state));
        (Self(Kind::Lent(shared.clone())), Loan(shared))
    }
}

impl<B> Loan<B> {
    /// Takes the body back and lends it again, if it can still be given in full. The first borrower gets nothing more.
    pub(crate) fn renew(self) -> Option<(Lent<B>, Self)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (body, read) = (state.body.take()?, state.read.take()?);
        let replay = read.into_iter().chain(mem::take(&mut state.replay)).collect();
        Some(Lent::from_parts(body, replay, state.limit))
    }

    /// Whether the body can be given again, at most `limit` bytes of it having been read.
    pub(crate) fn can_renew(&self, limit: usize) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.body.is_some() && state.read.is_some() && state.read_bytes <= limit
    }
}

impl<B> Drop for Loan<B> {
    /// Nobody will ask for it: what was read need not be kept.
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read = None;
    }
}

impl<B: Body<Data = Bytes>> State<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Taken back: whoever polls this has been told already that the exchange failed.
        let Some(body) = &mut self.body else {
            return Poll::Pending;
        };
        if let Some(bytes) = self.replay.pop_front() {
            self.keep(&bytes);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = ready!(body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(bytes) => {
                    let bytes = bytes.clone();
                    self.keep(&bytes);
                }
                // Trailers are not played again; the exchange is as good as sent.
                None => self.read = None,
            },
            Some(Err(_)) => self.read = None,
            None => {}
        }
        Poll::Ready(frame)
    }

    fn keep(&mut self, bytes: &Bytes) {
        self.read_bytes += bytes.len();
        match &mut self.read {
            Some(read) if self.read_bytes <= self.limit => read.push(bytes.clone()),
            read => *read = None,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Lent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().0.project() {
            KindProj::Owned(body) => body.poll_frame(cx),
            KindProj::Lent(state) => state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Owned(body) => body.is_end_stream(),
            Kind::Lent(state) => {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.replay.is_empty() && state.body.as_ref().is_some_and(|body| body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Owned(body) => body.size_hint(),
            Kind::Lent(state) => {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let replay: usize = state.replay.iter().map(Bytes::len).sum();
                let mut hint = state
                    .body
                    .as_ref()
                    .map_or_else(SizeHint::default, |body| body.size_hint());
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper.saturating_add(replay as u64));
                }
                hint.set_lower(hint.lower().saturating_add(replay as u64));
                hint
            }
        }
    }
}

impl<B> fmt::Debug for Lent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Owned(_) => "Lent::Owned(..)",
            Kind::Lent(_) => "Lent::Lent(..)",
        })
    }
}
