use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tunnel_core::TunnelError;

use crate::{
    net::poll_nonempty_frame,
    upstream::{
        error,
        gate::Gate,
        h1::{Alone, Lease},
        h2c::Slot,
        place::Place,
        upgrade::SwitchedBody,
    },
};

/// The body of an upstream's response, or, after a 101, what the upstream sends from then on.
///
/// Dropping it before its end drops the exchange at the upstream, the rest of the request body included. It fails with
/// [`Cause::Upstream`](tunnel_core::Cause::Upstream) when the upstream breaks off.
pub struct UpstreamBody(Kind);

enum Kind {
    Answer(Answer),
    Switched(SwitchedBody),
}

/// The body of a response that answers.
struct Answer {
    incoming: Content,
    /// Until the end was seen.
    exchange: Option<Exchange>,
}

/// The content of a response.
pub(super) enum Content {
    /// As hyper reads it.
    Incoming(Incoming),
    /// All of it, until it is given. Its head is clean.
    Whole(Bytes),
}

impl From<Incoming> for Content {
    fn from(incoming: Incoming) -> Self {
        Self::Incoming(incoming)
    }
}

impl Content {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self {
            Self::Incoming(incoming) => poll_nonempty_frame(Pin::new(incoming), cx),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// An exchange that runs: dropping it ends it at the upstream.
pub(super) struct Exchange {
    gate: Gate,
    on: Option<On>,
    /// Until its end is told.
    place: Option<Place>,
}

/// What the exchange occupies.
pub(super) enum On {
    Http1(Lease),
    Alone(#[allow(dead_code, reason = "held, and closed by its drop")] Alone),
    Http2(#[allow(dead_code, reason = "held, and given back by its drop")] std::sync::Arc<Slot>),
}

impl Exchange {
    pub(super) fn new(gate: Gate, on: On, place: Option<Place>) -> Self {
        Self {
            gate,
            on: Some(on),
            place,
        }
    }

    /// The response is complete. A request body that is being sent goes on.
    fn finish(mut self) {
        if let Some(place) = self.place.take() {
            place.finish();
        }
        if !self.gate.is_open() {
            return;
        }
        match self.on.take() {
            Some(On::Http1(lease)) => lease.finish(),
            Some(On::Alone(_) | On::Http2(_)) | None => {}
        }
    }

    /// The response breaks off.
    fn fail(mut self, error: TunnelError) -> TunnelError {
        let error = self.gate.blame(error);
        if let Some(place) = self.place.take() {
            place.fail(&error);
        }
        error
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Not finished.
        if self.on.is_some() {
            self.gate.cut();
        }
    }
}

impl UpstreamBody {
    pub(super) fn new(incoming: Content, exchange: Exchange) -> Self {
        let mut answer = Answer {
            incoming,
            exchange: Some(exchange),
        };
        answer.finish_at_end();
        Self(Kind::Answer(answer))
    }

    pub(super) fn switched(body: SwitchedBody) -> Self {
        Self(Kind::Switched(body))
    }
}

impl Answer {
    fn finish_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    /// hyper takes a reset with NO_ERROR for an end, wherever it comes; only after END_STREAM it is harmless.
    fn was_cut_short(&self) -> bool {
        let exchange = self.exchange.as_ref();
        exchange.is_some_and(|exchange| matches!(exchange.on, Some(On::Http2(_))))
            && !self.incoming.is_end_stream()
    }

    fn finish(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.finish();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        match ready!(self.incoming.poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(place) = self.exchange.as_mut().and_then(|one| one.place.as_mut())
                {
                    place.look_at(trailers);
                }
                self.finish_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let error = error::broken(error);
                let error = match self.exchange.take() {
                    Some(exchange) => exchange.fail(error),
                    None => error,
                };
                Poll::Ready(Some(Err(error)))
            }
            None if self.was_cut_short() => {
                let error = error::cut_short();
                let error = match self.exchange.take() {
                    Some(exchange) => exchange.fail(error),
                    None => error,
                };
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = TunnelError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        match &mut self.0 {
            Kind::Answer(answer) => answer.poll_frame(cx),
            Kind::Switched(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Answer(answer) => answer.incoming.is_end_stream(),
            Kind::Switched(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Answer(answer) => answer.incoming.size_hint(),
            Kind::Switched(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = match &self.0 {
            Kind::Answer(answer) => answer.exchange.is_none(),
            Kind::Switched(body) => body.is_over(),
        };
        f.debug_struct("UpstreamBody")
            .field("complete", &complete)
            .finish_non_exhaustive()
    }
}
