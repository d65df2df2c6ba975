//! What moves a head and a body into the tunnel: the request's at the side that asks, the response's at the other.

mod framed;
mod limits;
mod start;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use pin_project::pin_project;
use tower_service::Service;

pub use self::start::Start;
use crate::{
    admit::clean_trailers,
    error::{BoxError, Cause, Initiator, TunnelError},
    exchange::{SendClosed, SendHalf},
    head::Protocol,
    lane::weight_with,
    message::{Data, End, Payload},
    outgoing::Outgoing,
    reason::ResetReason,
    ws::Decoder,
};

/// Sends one direction of an exchange through the transport `S`: the head, the body in pieces, and the end.
///
/// A head never waits for a body. What of the body is there when the head goes travels with it, so that a small request or
/// response is one message. Credit is there before the body is polled, hence at most one frame of the body is held here.
///
/// Resolves when the end is queued, or when the other end wants no more.
///
/// # Errors
///
/// The body broke off, the exchange was reset, or the lane was lost. The exchange has been reset then.
///
/// Dropping it before it is ready resets the exchange.
#[must_use = "futures do nothing unless polled"]
#[pin_project]
pub struct Pump<B, S: Service<Outgoing>> {
    #[pin]
    body: B,
    transport: S,
    /// Stands before what holds a message: when this drops midway, the exchange is over before its message is missed.
    send: Option<SendHalf>,
    #[pin]
    step: Step<S::Future>,
    start: Option<Start>,
    /// Polled from the body and not yet sent.
    rest: Bytes,
    /// Set once the body has been given in full.
    end: Option<End>,
    /// Whether the message that is being sent is the last.
    is_last: bool,
    /// Whether the head has already waited one turn for a body that is about to come.
    has_yielded: bool,
    max_chunk: usize,
    protocol: Protocol,
    /// What cuts the body into frames of WebSocket. Boxed, because few exchanges have it.
    frames: Option<Box<Decoder>>,
}

/// Where the pump is with a message.
#[pin_project(project = StepProj, project_replace = StepOwned)]
enum Step<F> {
    /// It has none.
    Idle,
    /// The transport was not ready for it yet.
    Made(Outgoing),
    Sending(#[pin] F),
}

/// What the body had to give.
enum Filled {
    Something,
    Pending,
    /// Nothing yet, but a small body is about to come: worth one more turn before the head goes alone.
    Soon,
}

impl<B, S> Pump<B, S>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    S: Service<Outgoing, Response = ()>,
    S::Error: Into<BoxError>,
{
    /// Sends `start` and `body` as the `send` half of an exchange.
    pub fn new(start: Start, body: B, send: SendHalf, transport: S) -> Self {
        let (max_chunk, protocol) = (send.session().max_chunk(), send.protocol());
        let frames = framed::decoder(&start, &send);
        Self {
            body,
            transport,
            step: Step::Idle,
            send: Some(send),
            start: Some(start),
            rest: Bytes::new(),
            end: None,
            is_last: false,
            has_yielded: false,
            max_chunk,
            protocol,
            frames,
        }
    }

    /// Lets go of the exchange, and of the place in the lane's line, although whoever holds this may keep it.
    fn finish(self: Pin<&mut Self>, result: Result<(), TunnelError>) -> Poll<Result<(), TunnelError>> {
        let mut this = self.project();
        *this.send = None;
        this.step.set(Step::Idle);
        Poll::Ready(result)
    }

    /// Resets the exchange because of `error`, unless the exchange itself is over: then that is why sending failed.
    fn fail(send: SendHalf, error: TunnelError, cx: &mut Context<'_>) -> Result<(), TunnelError> {
        match send.poll_closed(cx) {
            Poll::Ready(SendClosed::Stopped) => Ok(()),
            Poll::Ready(SendClosed::Failed(error)) => Err(error),
            Poll::Pending => {
                let reason = match error.cause() {
                    Cause::Malformed if send.is_request() => ResetReason::BodyBroken,
                    _ => ResetReason::from_error(&error),
                };
                let error = error.with_sent(send.seal());
                send.reset(reason, &error);
                Err(error)
            }
        }
    }

    /// Makes the next message, and sends it. `None` when that was the last.
    fn poll_step(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Option<()>, TunnelError>> {
        let mut this = self.as_mut().project();
        if matches!(*this.step, Step::Idle) {
            let next = if this.frames.is_some() {
                ready!(self.as_mut().poll_make_framed(cx))?
            } else {
                ready!(self.as_mut().poll_make(cx))?
            };
            this = self.as_mut().project();
            this.step.set(Step::Made(next));
        }
        if matches!(*this.step, Step::Made(_)) {
            ready!(this.transport.poll_ready(cx)).map_err(into_tunnel_error)?;
            if let StepOwned::Made(next) = this.step.as_mut().project_replace(Step::Idle) {
                let future = this.transport.call(next);
                this.step.set(Step::Sending(future));
            }
        }
        if let StepProj::Sending(sending) = this.step.as_mut().project() {
            // On an error the future stays: what it still holds is dropped once the exchange has this error.
            ready!(sending.poll(cx)).map_err(into_tunnel_error)?;
            this.step.set(Step::Idle);
        }
        Poll::Ready(Ok((!*this.is_last).then_some(())))
    }

    /// Makes the next message of what the body has.
    fn poll_make(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Outgoing, TunnelError>> {
        let filled = self.as_mut().fill(cx)?;
        let this = self.project();
        let Some(send) = this.send.as_ref() else {
            return Poll::Pending;
        };
        match filled {
            Filled::Something => {}
            Filled::Pending if this.start.is_some() => {}
            Filled::Pending | Filled::Soon => return Poll::Pending,
        }
        let data = match (this.rest.len(), this.start.is_some()) {
            (0, _) => Bytes::new(),
            (len, has_start) => match send.poll_take(len.min(*this.max_chunk), cx) {
                Poll::Ready(piece) => this.rest.split_to(piece),
                Poll::Pending if has_start => Bytes::new(),
                Poll::Pending => return Poll::Pending,
            },
        };
        let end = if this.rest.is_empty() {
            this.end.take()
        } else {
            None
        };
        *this.is_last = end.is_some();
        let payload = match this.start.take() {
            None => Payload::Data(Data { data, end }),
            Some(start) => start.into_payload(Data { data, end }),
        };
        let head = limits::check(&payload, send.is_request(), &send.session().remote_settings())?;
        let weight = weight_with(&payload, head);
        Poll::Ready(Ok(send.weighed(payload, weight)))
    }

    /// Polls the body if there is nothing of it here, and there is credit for what it may give.
    fn fill(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Filled, TunnelError> {
        let this = self.project();
        let mut body = this.body;
        if !this.rest.is_empty() || this.end.is_some() {
            return Ok(Filled::Something);
        }
        if body.is_end_stream() {
            *this.end = Some(End::default());
            return Ok(Filled::Something);
        }
        let is_open = this
            .send
            .as_ref()
            .is_some_and(|send| send.poll_open(cx).is_ready());
        if !is_open {
            return Ok(Filled::Pending);
        }
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match split(frame, *this.protocol) {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => *this.rest = data,
                    Err(end) => *this.end = Some(end),
                },
                // Nothing will follow a request whose upgrade was refused: its body may just be dropped.
                Poll::Ready(Some(Err(_))) if this.send.as_ref().is_some_and(SendHalf::is_refused) => {
                    *this.end = Some(End::default());
                }
                Poll::Ready(Some(Err(error))) => {
                    let is_request = this.send.as_ref().is_some_and(SendHalf::is_request);
                    return Err(body_error(error.into(), is_request));
                }
                Poll::Ready(None) => *this.end = Some(End::default()),
                Poll::Pending
                    if this.start.is_some() && !*this.has_yielded && is_small(&*body, *this.max_chunk) =>
                {
                    *this.has_yielded = true;
                    cx.waker().wake_by_ref();
                    return Ok(Filled::Soon);
                }
                Poll::Pending => return Ok(Filled::Pending),
            }
            if this.end.is_none() && body.is_end_stream() {
                *this.end = Some(End::default());
            }
            if this.end.is_some() || !this.rest.is_empty() {
                return Ok(Filled::Something);
            }
        }
    }
}

impl<B, S> Future for Pump<B, S>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    S: Service<Outgoing, Response = ()>,
    S::Error: Into<BoxError>,
{
    type Output = Result<(), TunnelError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &self.send {
                None => return Poll::Ready(Ok(())),
                Some(send) => {
                    if let Some(closed) = send.closed() {
                        return self.finish(closed.into_result());
                    }
                }
            }
            let Poll::Ready(step) = self.as_mut().poll_step(cx) else {
                // Most are done when they are first polled, and need not be woken.
                let closed = self.send.as_ref().map(|send| send.poll_closed(cx));
                return match closed {
                    Some(Poll::Ready(closed)) => self.finish(closed.into_result()),
                    _ => Poll::Pending,
                };
            };
            let send = self.as_mut().project().send;
            match step {
                Ok(Some(())) => {}
                Ok(None) => {
                    if let Some(send) = send.take() {
                        send.finish();
                    }
                    return self.finish(Ok(()));
                }
                Err(error) => {
                    let result = match send.take() {
                        Some(send) => Self::fail(send, error, cx),
                        None => Err(error),
                    };
                    return self.finish(result);
                }
            }
        }
    }
}

impl<B, S: Service<Outgoing>> fmt::Debug for Pump<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("send", &self.send)
            .field("has_start", &self.start.is_some())
            .field("rest_len", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// Whether a body is known to fit into the message of the head.
fn is_small(body: &impl Body, max_chunk: usize) -> bool {
    body.size_hint()
        .exact()
        .is_some_and(|len| len <= max_chunk as u64)
}

/// Data, or the end. Trailers of plain HTTP lose the fields that may not be there; those of gRPC are metadata, and pass.
fn split(frame: Frame<Bytes>, protocol: Protocol) -> Result<Bytes, End> {
    frame.into_data().map_err(|frame| {
        let mut trailers = frame.into_trailers().ok();
        if let (Protocol::Http, Some(fields)) = (protocol, &mut trailers) {
            clean_trailers(fields);
        }
        End {
            trailers: trailers.filter(|fields| !fields.is_empty()).map(Box::new),
        }
    })
}

/// A body that breaks off is the failure of the one who gives it: of the caller, or of who stands behind this end.
fn body_error(error: BoxError, is_request: bool) -> TunnelError {
    match TunnelError::find(&*error) {
        Some(found) => found.clone(),
        None if is_request => TunnelError::canceled().with_source(error),
        None => TunnelError::new(
            Cause::Upstream,
            Initiator::Peer,
            "the body of the response broke off",
        )
        .with_source(error),
    }
}

fn into_tunnel_error(error: impl Into<BoxError>) -> TunnelError {
    let error = error.into();
    match TunnelError::find(&*error) {
        Some(found) => found.clone(),
        None => TunnelError::internal("the transport failed").with_source(error),
    }
}
