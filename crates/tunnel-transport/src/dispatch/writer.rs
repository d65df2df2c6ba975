//! The streams that gRPC takes messages from.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use tunnel_core::LaneGuard;

use super::ToLane;
use crate::generated as pb;

/// The messages of one lane: first the one that opens it, then what the lane's queue gives.
#[derive(Debug)]
pub(crate) struct LaneWriter {
    state: State,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each lane")]
enum State {
    /// The other end has not said yet which lane this is.
    Opening(oneshot::Receiver<Result<Opened, Status>>),
    Open(Opened),
    Done,
}

/// A lane that is open, and the message that says so.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) first: Option<pb::TunnelMessage>,
    pub(crate) guard: LaneGuard,
}

impl LaneWriter {
    /// A writer whose lane will be known later, so that a call can be answered at once.
    pub(crate) fn opening() -> (oneshot::Sender<Result<Opened, Status>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (
            sender,
            Self {
                state: State::Opening(receiver),
            },
        )
    }

    pub(crate) fn open(first: pb::TunnelMessage, guard: LaneGuard) -> Self {
        Self {
            state: State::Open(Opened {
                first: Some(first),
                guard,
            }),
        }
    }
}

impl Stream for LaneWriter {
    type Item = Result<ToLane, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { state } = &mut *self;
        loop {
            match state {
                State::Opening(receiver) => {
                    let opened = ready!(Pin::new(receiver).poll(cx));
                    *state = match opened {
                        Ok(Ok(opened)) => State::Open(opened),
                        Ok(Err(status)) => {
                            *state = State::Done;
                            return Poll::Ready(Some(Err(status)));
                        }
                        Err(_) => State::Done,
                    };
                }
                State::Open(Opened { first, guard }) => {
                    if let Some(first) = first.take() {
                        return Poll::Ready(Some(Ok(ToLane::SetUp(Box::new(first)))));
                    }
                    match ready!(guard.lane().poll_next(cx)) {
                        Some(message) => return Poll::Ready(Some(Ok(ToLane::Message(message)))),
                        None => *state = State::Done,
                    }
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }
}

/// What an agent sends: a stream that cannot fail.
#[derive(Debug)]
pub(crate) struct Messages<S>(pub(crate) S);

impl<S, T> Stream for Messages<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0)
            .poll_next(cx)
            .map(|item| item.and_then(Result::ok))
    }
}

/// The messages of a ControlStream.
#[derive(Debug)]
pub(crate) struct Control(pub(crate) mpsc::Receiver<Result<pb::TunnelMessage, Status>>);

impl Stream for Control {
    type Item = Result<pb::TunnelMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
