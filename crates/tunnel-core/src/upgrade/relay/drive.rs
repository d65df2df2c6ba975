//! One turn of a relay: what moves, and what happens without a byte.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body;

use super::{
    Phase, Relay,
    close::{self, Close},
    frames::Frames,
    queue::QUEUE_BYTES,
    times::{Event, Times},
};
use crate::{
    error::{BoxError, Cause, Initiator, TunnelError},
    upgrade::{ByteStream, state::Reading},
};

/// How often the task asks the body and writes before it lets others run.
const MAX_TURNS: usize = 16;

/// How many pieces are taken of the body before they are written.
const MAX_PIECES: usize = 128;

/// What the body had.
enum Filled {
    /// As much as there is room for.
    Enough,
    Pending,
    /// It has ended.
    Over,
}

impl<B, T> Relay<B, T>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    T: ByteStream,
{
    /// One turn. Ready when both directions have ended.
    ///
    /// # Errors
    ///
    /// Why the stream breaks off.
    pub(super) fn poll_turn(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        loop {
            let mut reading = self.writer.reading(cx)?;
            if reading == Reading::Abandoned && self.writer.poll_discard(cx)?.is_ready() {
                reading = Reading::Ended;
            }
            let before = self.queue.len();
            if self.phase == Phase::Open && self.as_mut().poll_copy(cx, reading)?.is_ready() {
                *self.as_mut().project().phase = Phase::Closed;
            }
            if self.phase == Phase::Closed && reading == Reading::Ended {
                return Poll::Ready(Ok(()));
            }
            let has_moved = self.queue.len() != before;
            self.as_mut().limit(reading, has_moved);
            let this = self.as_mut().project();
            let waits_to_ping = this.frames.as_ref().is_some_and(Frames::waits_to_ping);
            let event = ready!(this.times.poll(cx, waits_to_ping, || this.writer.heard()));
            self.as_mut().on_event(event)?;
        }
    }

    /// Sees to it that no endpoint keeps the stream alone for ever.
    fn limit(self: Pin<&mut Self>, reading: Reading, has_moved: bool) {
        let this = self.project();
        let is_websocket = this.frames.is_some();
        let is_abandoned = reading == Reading::Abandoned;
        if this.frames.as_mut().is_some_and(Frames::take_pinged) {
            this.times.on_pinged();
        }
        if this.frames.as_ref().is_some_and(Frames::is_closed)
            || *this.phase == Phase::Closed && (is_websocket || is_abandoned)
        {
            return this.times.linger();
        }
        // The far end has left, in this way or that, and only the near end still has to take what is left for it.
        let has_left = is_abandoned || this.body.is_none() && (is_websocket || reading == Reading::Ended);
        this.times.stall(has_left && this.queue.len() > 0, has_moved);
    }

    fn on_event(self: Pin<&mut Self>, event: Event) -> Result<(), TunnelError> {
        let this = self.project();
        let is_open = *this.phase == Phase::Open;
        let (close, error) = match event {
            Event::Stopping | Event::Ping => {
                if let (Some(frames), true) = (this.frames, is_open) {
                    match (event, *this.ping) {
                        (Event::Ping, Some(payload)) => frames.ping(payload, this.queue),
                        _ => frames.close(Close::STOPPING, this.queue),
                    }
                }
                return Ok(());
            }
            Event::Gone => return Err(ended(Cause::Canceled, "the client does not answer any more")),
            Event::Lingered => return Err(ended(Cause::Deadline, "the stream did not end in time")),
            Event::Deadline => (Close::DEADLINE, ended(Cause::Deadline, Close::DEADLINE.reason)),
            Event::Expired => (
                Close::EXPIRED,
                ended(Cause::Unauthenticated, Close::EXPIRED.reason),
            ),
            Event::Idle => (Close::IDLE, ended(Cause::Deadline, Close::IDLE.reason)),
        };
        let is_told = is_open
            && this
                .frames
                .as_mut()
                .is_some_and(|frames| !frames.is_closed() && frames.close_now(close, this.queue));
        if is_told { Ok(()) } else { Err(error) }
    }

    /// Moves what can be moved. Ready when our direction is closed.
    fn poll_copy(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<Result<(), TunnelError>> {
        for _ in 0..MAX_TURNS {
            let filled = self.as_mut().fill(cx, reading);
            let this = self.as_mut().project();
            while this.queue.len() > 0 {
                let written = this.writer.poll_write(cx, this.queue.next())?;
                let Poll::Ready(len) = written else {
                    // What broke off does not wait for anybody.
                    return this
                        .error
                        .take()
                        .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                };
                if this.queue.len() > close::MAX_FRAME_BYTES {
                    this.times.on_moved();
                }
                this.queue.advance(len);
                *this.is_unflushed = true;
            }
            match filled {
                Filled::Enough => {}
                Filled::Pending => {
                    if *this.is_unflushed {
                        ready!(this.writer.poll_flush(cx))?;
                        *this.is_unflushed = false;
                    }
                    return Poll::Pending;
                }
                Filled::Over => {
                    if let Some(error) = this.error.take() {
                        return Poll::Ready(Err(error));
                    }
                    ready!(this.writer.poll_flush(cx))?;
                    return this.writer.poll_shutdown(cx);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Asks the body for what there is room for.
    fn fill(mut self: Pin<&mut Self>, cx: &mut Context<'_>, reading: Reading) -> Filled {
        for _ in 0..MAX_PIECES {
            let mut this = self.as_mut().project();
            let Some(body) = this.body.as_mut().as_pin_mut() else {
                return Filled::Over;
            };
            if this.queue.len() >= QUEUE_BYTES {
                // Once more, if the other direction was given up: the exchange may have failed.
                if reading != Reading::Abandoned || std::mem::replace(this.has_asked, true) {
                    return Filled::Enough;
                }
            }
            match body.poll_frame(cx) {
                Poll::Pending => return Filled::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are nothing that a stream has.
                    let Ok(data) = frame.into_data() else { continue };
                    this.times.on_moved();
                    match this.frames {
                        Some(frames) => frames.push(data, this.queue),
                        None => this.queue.push(data),
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.body.set(None);
                    self.as_mut().on_failed(into_tunnel_error(error.into()));
                }
                Poll::Ready(None) => this.body.set(None),
            }
        }
        Filled::Enough
    }

    /// The body has failed: the client hears why, or the stream breaks off.
    fn on_failed(self: Pin<&mut Self>, error: TunnelError) {
        let this = self.project();
        let is_told = match (this.frames, Close::of(&error)) {
            (Some(frames), _) if frames.is_closed() => true,
            (Some(frames), Some(close)) => frames.close_now(close, this.queue),
            _ => false,
        };
        if !is_told {
            *this.error = Some(error);
        }
    }

    /// Lets go of everything, although whoever holds this may keep it.
    pub(super) fn finish(self: Pin<&mut Self>) {
        let mut this = self.project();
        *this.phase = Phase::Over;
        this.body.set(None);
        this.queue.clear();
        *this.times = Times::default();
        *this.lifetime = None;
    }
}

fn ended(cause: Cause, text: &'static str) -> TunnelError {
    let initiator = match cause {
        Cause::Canceled | Cause::Unauthenticated => Initiator::Caller,
        _ => Initiator::Tunnel,
    };
    TunnelError::new(cause, initiator, text)
}

fn into_tunnel_error(error: BoxError) -> TunnelError {
    match TunnelError::find(&*error) {
        Some(found) => found.clone(),
        None => TunnelError::new(Cause::Upstream, Initiator::Peer, "the stream broke off").with_source(error),
    }
}
