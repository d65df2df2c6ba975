//! What carries the far end's direction of an upgraded stream to the near end.

mod close;
mod drive;
mod frames;
mod queue;
#[cfg(test)]
mod tests;
mod times;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::Body;
use pin_project::pin_project;

use self::{frames::Frames, queue::Queue, times::Times};
use super::{
    Stopping,
    pong::PING_BYTES,
    stream::{ByteStream, StreamWriter},
};
use crate::{
    error::{BoxError, TunnelError},
    lifetime::Lifetime,
    runtime::Runtime,
};

/// The longest interval of a setting: beyond it, clocks may end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the bytes of the body are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of which nothing is known. The tunnel puts nothing between them.
    #[default]
    Opaque,
    /// What a WebSocket server sends its client: the tunnel may put a Close, or a Ping, between two frames.
    WebSocket,
}

/// Copies a body to a stream, and sees to it that the stream ends as a whole. It resolves when both directions have ended.
///
/// * The end of the body closes our direction of the stream, after all that came before; the other direction goes on.
/// * When the body fails, the stream breaks off in both directions, as the far end did; what is left to be written is lost if
///   it cannot be written at once. A WebSocket client may hear a Close instead, see [below](#close).
/// * When the stream fails, the body is dropped.
/// * When the [`StreamBody`](super::StreamBody) is dropped before its end, what still comes is dropped here.
/// * Dropping it ends the stream in both directions.
///
/// It asks the body for more while less than 16 KiB wait to be written, so that it hears of a failure although nobody takes
/// what waits; it joins small pieces; and it flushes when the body has nothing.
///
/// # Close
///
/// For [`Kind::WebSocket`], where a frame has ended and the server has sent no Close:
///
/// | when | code |
/// | --- | --- |
/// | the body failed, because the agent was lost | 1012 |
/// | the body failed, because the other end is stopping | 1001 |
/// | the body failed, because a deadline passed | 1001 |
/// | the body failed, because what the client sent is no frames | 1002 |
/// | [`Stopping`] has ended: as soon as a frame has ended | 1001 |
/// | the deadline has passed, or nothing has moved for too long | 1001 |
/// | the client's credentials have expired | 1008 |
/// | the body failed in any other way | none: the stream breaks off |
///
/// What the server sends afterwards is not for the client any more; the client's answer still goes to the server. An endpoint
/// that does not end its direction within 30 seconds is cut off.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct Relay<B, T: ByteStream> {
    /// None once it has ended.
    #[pin]
    body: Option<B>,
    writer: StreamWriter<T>,
    queue: Queue,
    frames: Option<Frames>,
    times: Times,
    ping: Option<[u8; PING_BYTES]>,
    lifetime: Option<Lifetime>,
    /// Why the stream breaks off when the queue is empty, or cannot be written.
    error: Option<TunnelError>,
    phase: Phase,
    /// Something was written that was not flushed.
    is_unflushed: bool,
    /// Whether the body was asked once more when the other direction was given up.
    has_asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our direction is closed.
    Closed,
    Over,
}

impl<B, T: ByteStream> Relay<B, T> {
    /// Copies `body` to the stream of `writer`. Set the rest before somebody polls the [`StreamBody`](super::StreamBody).
    pub fn new(body: B, writer: StreamWriter<T>) -> Self {
        Self {
            body: Some(body),
            writer,
            queue: Queue::default(),
            frames: None,
            times: Times::default(),
            ping: None,
            lifetime: None,
            error: None,
            phase: Phase::Open,
            is_unflushed: false,
            has_asked: false,
        }
    }

    /// Where time and random bits come from. Without it, nothing here ends or happens because of time.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.times.runtime = Some(runtime);
        self.watch()
    }

    /// What the body's bytes are; [`Kind::Opaque`] unless it is set.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.frames = (kind == Kind::WebSocket).then(Frames::new);
        self.watch()
    }

    /// Ends the stream when no byte has moved in either direction for so long. Zero and `None`, as without this, mean never. Pings
    /// of the tunnel, and the answers to them, do not count.
    pub fn idle_timeout(mut self, time: Option<Duration>) -> Self {
        self.times.idle = setting(time);
        self.watch()
    }

    /// Sends the client a Ping when nothing has come from it for so long, and ends the stream when nothing has come for as long
    /// again. Its Pongs do not reach the server. Zero and `None`, as without this, mean never. Only for [`Kind::WebSocket`].
    ///
    /// A client that has two Pings to answer may answer the last one only (RFC 6455, section 5.5.3), so a Ping of the server may
    /// then stay without an answer.
    pub fn ping_interval(mut self, time: Option<Duration>) -> Self {
        self.times.ping = setting(time);
        self.watch()
    }

    /// Ends the stream at this time.
    pub fn deadline(mut self, at: Option<Instant>) -> Self {
        self.times.deadline = at;
        self
    }

    /// Ends the stream at this time, because the client's credentials are good no longer.
    pub fn expiry(mut self, at: Option<Instant>) -> Self {
        self.times.expiry = at;
        self
    }

    /// Says when the server of the outside connection stops.
    pub fn stopping(mut self, stopping: Option<&Stopping>) -> Self {
        self.times.stopping = stopping.map(Stopping::wait);
        self
    }

    /// Kept until both directions have ended.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Tells the other half what this one has to know of it.
    fn watch(mut self) -> Self {
        if let Some(runtime) = &self.times.runtime
            && (self.times.idle.is_some() || self.times.ping.is_some())
        {
            let pings = self.times.ping.is_some() && self.frames.is_some();
            if pings && self.ping.is_none() {
                let [payload @ .., _, _, _, _, _, _, _, _] = runtime.random();
                self.ping = Some(payload);
            }
            self.writer.watch(runtime.clone(), self.ping);
        }
        self
    }
}

fn setting(time: Option<Duration>) -> Option<Duration> {
    time.filter(|time| !time.is_zero()).map(|time| time.min(LONGEST))
}

impl<B, T> Future for Relay<B, T>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    T: ByteStream,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.phase == Phase::Over {
            return Poll::Ready(());
        }
        if let Err(error) = ready!(self.as_mut().poll_turn(cx)) {
            self.writer.abort(error);
        }
        self.finish();
        Poll::Ready(())
    }
}

impl<B, T: ByteStream> fmt::Debug for Relay<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("phase", &self.phase)
            .field("waiting_bytes", &self.queue.len())
            .finish_non_exhaustive()
    }
}
