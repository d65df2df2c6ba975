use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::time::{Sleep, sleep};
use tunnel_core::BoxError;

use crate::{
    net::poll_nonempty_frame,
    upstream::gate::{Gate, Phase, cut_error},
};

/// A request body on its way to hyper. Boxed, so that one pool serves requests with bodies of every type.
pub(super) struct Upload {
    source: Source,
    gate: Gate,
    patience: Patience,
    /// Kept until the upload is over.
    held: Option<Arc<dyn Any + Send + Sync>>,
}

enum Source {
    Body(UnsyncBoxBody<Bytes, BoxError>),
    /// There is none.
    Empty,
    /// There was one, and it is not to be sent any more.
    Dropped,
}

/// How long a body waits for a 100; it begins when hyper first asks for the body, after the head.
enum Patience {
    For(Duration),
    Until(Pin<Box<Sleep>>),
}

impl Upload {
    pub(super) fn new<B>(body: B, gate: Gate, continue_timeout: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let source = if body.is_end_stream() {
            Source::Empty
        } else {
            Source::Body(body.map_err(Into::into).boxed_unsync())
        };
        Self {
            source,
            gate,
            patience: Patience::For(continue_timeout),
            held: None,
        }
    }

    /// Keeps `guard` until the upload is over.
    pub(super) fn hold(&mut self, guard: Option<Arc<dyn Any + Send + Sync>>) {
        self.held = guard;
    }
}

impl Patience {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self {
                Self::For(time) => *self = Self::Until(Box::pin(sleep(*time))),
                Self::Until(sleep) => return sleep.as_mut().poll(cx),
            }
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
        let this = &mut *self;
        match this.gate.poll_phase(cx) {
            Phase::Waiting => {
                ready!(this.patience.poll(cx));
                this.gate.open();
            }
            Phase::Open => {}
            Phase::Held => {
                this.source = Source::Dropped;
                return Poll::Pending;
            }
            Phase::Cut => {
                this.source = Source::Dropped;
                return Poll::Ready(Some(Err(cut_error())));
            }
        }
        match &mut this.source {
            Source::Body(body) => poll_nonempty_frame(Pin::new(body), cx),
            Source::Empty => Poll::Ready(None),
            // Only a phase after `Open` drops it, and phases do not go back.
            Source::Dropped => Poll::Ready(Some(Err(cut_error()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Body(body) => body.is_end_stream(),
            Source::Empty => true,
            Source::Dropped => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Body(body) => body.size_hint(),
            Source::Empty => SizeHint::with_exact(0),
            Source::Dropped => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
