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

    /// What stands where a request was.
    pub(super) fn none() -> Self {
        Self {
            source: Source::Empty,
            gate: Gate::none(),
            patience: Patience::For(Duration::ZERO),
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
            Source::Body(body) => {
                let frame = ready!(poll_nonempty_frame(Pin::new(body), cx));
                Poll::Ready(frame.map(|frame| {
                    frame.map_err(|error| {
                        this.gate.fail(error);
                        cut_error()
                    })
                }))
            }
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::StatusCode;
    use http_body_util::Full;
    use tokio::time::Instant;
    use tokio_test::{assert_pending, task};
    use tunnel_core::{Cause, Initiator, TunnelError};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn upload(gate: &Gate) -> Upload {
        Upload::new(Full::new(Bytes::from_static(b"x")), gate.clone(), SECOND)
    }

    async fn next(upload: &mut Upload) -> Option<Result<Frame<Bytes>, BoxError>> {
        poll_fn(|cx| Pin::new(&mut *upload).poll_frame(cx)).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence_lets_the_body_go_after_the_timeout() {
        let mut upload = upload(&Gate::new(true));
        let start = Instant::now();
        assert!(next(&mut upload).await.unwrap().is_ok());
        assert!(
            (SECOND..SECOND * 2).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_100_and_a_success_wake_the_body() {
        let changes: [fn(&Gate); 2] = [Gate::open, |gate| gate.answered(StatusCode::OK)];
        for change in changes {
            let gate = Gate::new(true);
            let mut upload = upload(&gate);
            let mut frame = task::spawn(next(&mut upload));
            assert_pending!(frame.poll());
            change(&gate);
            assert!(frame.is_woken());
            assert!(frame.await.unwrap().is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_holds_the_body_until_the_exchange_ends() {
        let gate = Gate::new(true);
        gate.answered(StatusCode::PAYLOAD_TOO_LARGE);
        gate.open();
        let mut upload = upload(&gate);
        let mut frame = task::spawn(next(&mut upload));
        assert_pending!(frame.poll(), "a late 100 does not open it");
        tokio::time::advance(SECOND * 10).await;
        assert_pending!(frame.poll());
        gate.cut();
        assert!(frame.is_woken());
        assert!(frame.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_body_that_fails_is_blamed() {
        let (sender, body) = http_body_util::channel::Channel::<Bytes, BoxError>::new(1);
        let gate = Gate::new(false);
        let mut upload = Upload::new(body, gate.clone(), SECOND);
        sender.abort(TunnelError::canceled().into());
        assert!(next(&mut upload).await.unwrap().is_err());
        let other = TunnelError::new(Cause::Upstream, Initiator::Peer, "the upstream broke off");
        assert_eq!(gate.blame(other).cause(), Cause::Canceled);
    }
}
