//! Bodies whose every word says of which exchange it is and where it stands, and what checks them.

use std::{
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tunnel_core::BoxError;

use crate::ledger::Ledger;

/// More than any body has.
const BLOCK: usize = 256 * 1024;

/// The bytes from `at` on of the body of exchange `id`: a piece of one block of noise, which begins elsewhere for each exchange, so
/// that a piece that is somewhere else, or of another one, is not the same. Nothing is copied, since there are many.
pub(crate) fn pattern(id: u64, at: u64, len: usize) -> Bytes {
    static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
        let words =
            (0..BLOCK as u64 / 8).map(|word| word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let once: Vec<u8> = words
            .flat_map(|word| (word ^ (word >> 29)).to_be_bytes())
            .collect();
        once.repeat(2).into()
    });
    let start = (id.wrapping_mul(10_007).wrapping_add(at) % BLOCK as u64) as usize;
    NOISE.slice(start..start + len)
}

/// What a client sends: frames of these sizes in turn, with pauses.
#[derive(Debug)]
pub(crate) struct Upload {
    id: u64,
    at: u64,
    len: u64,
    frame: usize,
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(crate) fn new(id: u64, len: u64, frame: usize, pause: Duration) -> Self {
        Self {
            id,
            at: 0,
            len,
            frame,
            pause,
            pausing: None,
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.at == self.len {
            return Poll::Ready(None);
        }
        if let Some(pausing) = &mut self.pausing {
            ready!(pausing.as_mut().poll(cx));
            self.pausing = None;
        }
        let size = (self.frame as u64).min(self.len - self.at) as usize;
        let data = pattern(self.id, self.at, size);
        self.at += size as u64;
        if !self.pause.is_zero() {
            self.pausing = Some(Box::pin(sleep(self.pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.len
    }

    fn size_hint(&self) -> SizeHint {
        if self.pause.is_zero() {
            SizeHint::with_exact(self.len - self.at)
        } else {
            SizeHint::default()
        }
    }
}

/// Compares what comes with what was sent.
#[derive(Clone)]
pub(crate) struct Check {
    /// Who reads, and what.
    pub(crate) what: &'static str,
    pub(crate) id: u64,
    pub(crate) len: u64,
    pub(crate) at: u64,
    pub(crate) ledger: Ledger,
}

impl Check {
    pub(crate) fn data(&mut self, data: &Bytes) {
        if *data != pattern(self.id, self.at, data.len()) {
            let Self { what, id, at, .. } = self;
            self.ledger
                .violation(format!("{what} {id} has other bytes behind {at}"));
        }
        self.at += data.len() as u64;
    }

    /// The body has ended as one does that is whole.
    pub(crate) fn end(&self) {
        let Self {
            what, id, len, at, ..
        } = self;
        if at != len {
            self.ledger
                .violation(format!("{what} {id} ended well after {at} of {len} bytes"));
        }
    }
}

/// A body that is checked while it is handed on.
pub(crate) struct Checked<B> {
    pub(crate) body: B,
    pub(crate) check: Check,
    /// Whether trailers follow that say how much there was.
    pub(crate) has_trailers: bool,
    pub(crate) is_over: bool,
}

impl<B> Body for Checked<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.check.data(&data);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    self.check.end();
                    self.is_over = true;
                    let trailers = trailers(self.check.at);
                    return Poll::Ready(self.has_trailers.then_some(Ok(Frame::trailers(trailers))));
                }
            }
        }
    }
}

/// The end of a call that went well.
fn trailers(bytes: u64) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-bytes", bytes.into());
    trailers
}
