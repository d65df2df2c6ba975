//! The bytes of a WebSocket as frames.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use tower_service::Service;

use super::{Filled, Pump, Start, limits};
use crate::{
    error::{BoxError, Cause, Initiator, TunnelError},
    exchange::SendHalf,
    message::{Data, End, Payload},
    outgoing::Outgoing,
    ws::{Decoder, FrameError},
};

/// What cuts the bytes behind `start` into frames, if they are frames.
pub(super) fn decoder(start: &Start, send: &SendHalf) -> Option<Box<Decoder>> {
    let is_framed = send.is_framed()
        && match start {
            Start::Request(_) => true,
            Start::Response(start) => start.head.status == StatusCode::SWITCHING_PROTOCOLS,
        };
    is_framed.then(|| Box::new(Decoder::new(send.is_request())))
}

impl<B, S> Pump<B, S>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    S: Service<Outgoing, Response = ()>,
    S::Error: Into<BoxError>,
{
    /// Makes the next message of a direction of frames: the head alone, what is there of a frame, or the end, which may stand in
    /// the middle of a frame.
    pub(super) fn poll_make_framed(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Outgoing, TunnelError>> {
        loop {
            let this = self.as_mut().project();
            let (Some(send), Some(decoder)) = (this.send.as_ref(), this.frames.as_mut()) else {
                return Poll::Pending;
            };
            if let Some(start) = this.start.take() {
                let payload = start.into_payload(Data::default());
                limits::check(&payload, send.is_request(), &send.session().remote_settings())?;
                return Poll::Ready(Ok(send.outgoing(payload)));
            }
            let len = decoder.next_len();
            if let Some(len) = len.map_err(|error| broken(error, send.is_request()))? {
                let len = ready!(send.poll_take_frame(len.min(*this.max_chunk), cx));
                if let Some(frame) = decoder.take(len) {
                    return Poll::Ready(Ok(send.outgoing(Payload::Frame(frame))));
                }
            }
            if this.end.take().is_some() {
                *this.is_last = true;
                let end = Data {
                    data: Bytes::new(),
                    end: Some(End::default()),
                };
                return Poll::Ready(Ok(send.outgoing(Payload::Data(end))));
            }
            match self.as_mut().fill(cx)? {
                Filled::Something => {}
                Filled::Pending | Filled::Soon => return Poll::Pending,
            }
            let this = self.as_mut().project();
            if let Some(decoder) = this.frames {
                decoder.push(mem::take(this.rest));
            }
        }
    }
}

fn broken(error: FrameError, is_request: bool) -> TunnelError {
    let (cause, by, text) = if is_request {
        let text = "the client broke the rules of WebSocket frames";
        (Cause::Malformed, Initiator::Caller, text)
    } else {
        let text = "the server broke the rules of WebSocket frames";
        (Cause::Protocol, Initiator::Peer, text)
    };
    TunnelError::new(cause, by, text).with_source(error)
}
