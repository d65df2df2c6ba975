//! The app behind the tunnel: it counts what runs, and does on command what is hard on a tunnel.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, extract::Request, response::Response, routing::any};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, watch};

/// The first bytes of the answers that then stand still.
pub(crate) const FIRST: usize = 100 * 1024;
/// What they promise, where they promise anything.
pub(crate) const WHOLE: u64 = 1024 * 1024;
/// The frames of `/drip`.
pub(crate) const DRIPS: u64 = 100_000;
/// The bytes of each of them.
pub(crate) const DRIP: &[u8] = b"drip6\n";

/// What the app counts. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Requests that it has begun to serve.
    started: watch::Sender<u64>,
    /// Those of which a handler or a body is alive.
    active: watch::Sender<u64>,
    /// Bytes that its bodies have given.
    produced: watch::Sender<u64>,
    /// Bodies of requests that `/apart` and `/echo` have read to their end, and those that broke off.
    whole: watch::Sender<u64>,
    broken: watch::Sender<u64>,
    release: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new() -> Self {
        let counter = || watch::Sender::new(0);
        Self {
            started: counter(),
            active: counter(),
            produced: counter(),
            whole: counter(),
            broken: counter(),
            release: Arc::new(Semaphore::new(0)),
        }
    }

    /// How many requests it has begun to serve.
    pub(crate) fn served(&self) -> u64 {
        *self.started.borrow()
    }

    /// Bytes that its bodies have given so far.
    pub(crate) fn produced(&self) -> u64 {
        *self.produced.borrow()
    }

    /// Of the requests of `/apart` and `/echo`: how many had a body that was whole, and how many one that broke off.
    pub(crate) fn bodies(&self) -> (u64, u64) {
        (*self.whole.borrow(), *self.broken.borrow())
    }

    /// Waits until it has begun to serve so many.
    pub(crate) async fn serving(&self, requests: u64) {
        reach(&self.started, |count| count >= requests).await;
    }

    /// Waits until its bodies have given so many bytes.
    pub(crate) async fn producing(&self, bytes: u64) {
        reach(&self.produced, |count| count >= bytes).await;
    }

    /// Waits until no handler and no body of it is alive.
    pub(crate) async fn idle(&self) {
        self.left(0).await;
    }

    /// Waits until at most so many are alive.
    pub(crate) async fn left(&self, requests: u64) {
        reach(&self.active, |count| count <= requests).await;
    }

    /// Lets so many of those go on that wait in `/held` and `/half`, now or later.
    pub(crate) fn release(&self, requests: usize) {
        self.release.add_permits(requests);
    }

    /// Counts a request until the guard drops.
    pub(crate) fn enter(&self) -> Guard {
        self.active.send_modify(|count| *count += 1);
        self.started.send_modify(|count| *count += 1);
        Guard(self.clone())
    }

    /// The app: `/fast`, `/wait`, `/chunked`, `/sized`, `/endless`, `/drip`, `/upload`, `/apart`, `/held`,
    /// `/half`, `/echo`.
    pub(crate) fn router(&self) -> Router {
        let app = self.clone();
        Router::new().fallback(any(move |request: Request| app.clone().serve(request)))
    }

    async fn serve(self, request: Request) -> Response {
        let guard = self.enter();
        let path = request.uri().path().to_owned();
        match &*path {
            "/wait" => std::future::pending().await,
            "/chunked" => answer(Stream::new(guard, FIRST as u64, After::Hang)),
            "/sized" => answer(Stream {
                promised: Some(WHOLE),
                ..Stream::new(guard, FIRST as u64, After::Hang)
            }),
            "/endless" => answer(Stream::new(guard, u64::MAX, After::End)),
            "/drip" => {
                let piece = Bytes::from_static(DRIP);
                let left = DRIPS * piece.len() as u64;
                answer(Stream {
                    piece,
                    ..Stream::new(guard, left, After::End)
                })
            }
            "/upload" => answer(count(request.into_body()).await),
            "/apart" => answer(apart(Body::new(Guarded(request.into_body(), guard))).await),
            "/held" => {
                released(&self.release).await;
                answer(count(request.into_body()).await)
            }
            "/half" => answer(half(guard, self.release.clone())),
            "/echo" => answer(Body::new(Guarded(request.into_body(), guard))),
            _ => answer("ok"),
        }
    }
}

async fn reach(counter: &watch::Sender<u64>, is_so: impl Fn(u64) -> bool) {
    // The sender is borrowed, so that it cannot be gone.
    let _ = counter.subscribe().wait_for(|count| is_so(*count)).await;
}

async fn released(release: &Semaphore) {
    release.acquire().await.expect("it is never closed").forget();
}

fn answer(body: impl Into<AnyBody>) -> Response {
    Response::new(body.into().0)
}

struct AnyBody(Body);

impl From<Stream> for AnyBody {
    fn from(body: Stream) -> Self {
        Self(Body::new(body))
    }
}

impl From<Body> for AnyBody {
    fn from(body: Body) -> Self {
        Self(body)
    }
}

impl From<String> for AnyBody {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for AnyBody {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

/// Reads a body, and says how many bytes it had, or that it broke.
async fn count(mut body: Body) -> String {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Err(_) => return "broken".to_owned(),
        }
    }
    bytes.to_string()
}

/// The same, in a task that goes on when nobody wants the answer any more.
async fn apart(body: Body) -> String {
    tokio::spawn(count(body)).await.expect("it does not panic")
}

/// `half`, and after the release ` whole`.
fn half(guard: Guard, release: Arc<Semaphore>) -> Body {
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        let _guard = guard;
        let sent = sender.send_data(Bytes::from_static(b"half")).await;
        if sent.is_ok() {
            released(&release).await;
            // The client may have left.
            let _ = sender.send_data(Bytes::from_static(b" whole")).await;
        }
    });
    Body::new(body)
}

/// Counts a request as alive.
#[derive(Debug)]
pub(crate) struct Guard(App);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.active.send_modify(|count| *count -= 1);
    }
}

/// What a body does after its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    End,
    Hang,
}

/// A body of so many bytes.
struct Stream {
    guard: Guard,
    left: u64,
    piece: Bytes,
    promised: Option<u64>,
    after: After,
}

impl Stream {
    fn new(guard: Guard, left: u64, after: After) -> Self {
        Self {
            guard,
            left,
            piece: Bytes::from_static(&[b'x'; 16 * 1024]),
            promised: None,
            after,
        }
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return if self.after == After::Hang {
                Poll::Pending
            } else {
                Poll::Ready(None)
            };
        }
        let piece = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(self.piece.len());
        self.left -= piece as u64;
        self.guard.0.produced.send_modify(|count| *count += piece as u64);
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        self.promised.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A request's body that counts as alive, and notes its end.
struct Guarded(Body, Guard);

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        match &frame {
            Poll::Ready(None) => self.1.0.whole.send_modify(|count| *count += 1),
            Poll::Ready(Some(Err(_))) => self.1.0.broken.send_modify(|count| *count += 1),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
