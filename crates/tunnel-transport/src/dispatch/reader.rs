//! The task that reads one lane.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::task::coop;
use tracing::{debug, warn};
use tunnel_core::{
    Accepted, Cause, Direction, Initiator, LaneGuard, Payload, Protocol, RequestId, Session, TunnelError,
    TunnelMessage, turn::Turns,
};

use super::{LaneStream, stream::PREFIX};
use crate::{
    heartbeat::{Beat, Heartbeat, Pulse},
    metrics,
    net::windows::TUNNEL_TURN,
    pb::{DecodeError, Encoded, Limits, decode},
};

/// How many messages one unit of a task's budget is worth. What a turn of the connection has read has to be taken within the budget, or
/// small messages would pile up in the memory of HTTP/2's codec, whose windows know nothing of what each of them takes there.
const AT_ONCE: usize = 80;

/// The budget of a task (`tokio::task::coop`).
const BUDGET: usize = 128;

/// The least that a message can be on the connection, in bytes: the head of a DATA frame (RFC 9113, section 4.1), and the prefix of a
/// message of gRPC.
const LEAST: usize = 9 + PREFIX;

const _: () = assert!(BUDGET * AT_ONCE * LEAST >= TUNNEL_TURN);

/// What is done with an exchange that the other end opens. It must not wait.
pub(crate) type OnAccept = Arc<dyn Fn(Accepted) + Send + Sync>;

/// Reads one lane to its end. It never waits for an exchange's consumer or for the lane's writer: what it must store is
/// bounded by credit.
pub(crate) struct LaneReader {
    pub(crate) session: Session,
    pub(crate) guard: LaneGuard,
    pub(crate) stream: LaneStream,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) on_accept: OnAccept,
}

impl LaneReader {
    /// Reads until the stream ends or the session is closed, and says why. Dropping the future loses the lane.
    pub(crate) async fn run(mut self) -> TunnelError {
        let limits = Limits::from(self.session.local_settings());
        let mut pulse = Pulse::new(self.heartbeat);
        Turns::new(poll_fn(|cx| self.poll(cx, &limits, &mut pulse))).await
    }

    /// All that has come, before anything else is looked at. Only the budget of the task makes this yield.
    fn poll(&mut self, cx: &mut Context<'_>, limits: &Limits, pulse: &mut Pulse) -> Poll<TunnelError> {
        if let Poll::Ready(error) = self.poll_messages(cx, limits, pulse) {
            return Poll::Ready(self.lose(error));
        }
        while let Poll::Ready(beat) = pulse.poll_beat(cx) {
            match beat {
                Beat::Ping(nonce) => {
                    self.guard.lane().signal(signal(Payload::Ping(nonce)));
                    self.session.suspect_lane(self.guard.lane(), pulse.is_suspect());
                }
                Beat::Lost => return Poll::Ready(self.lose(lost("the lane was silent for too long"))),
            }
        }
        self.session.poll_closed(cx)
    }

    /// Takes what has come. Ready when the lane has ended.
    fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        pulse: &mut Pulse,
    ) -> Poll<TunnelError> {
        let mut left = 0;
        loop {
            if left == 0 {
                ready!(coop::poll_proceed(cx)).made_progress();
                left = AT_ONCE;
            }
            left -= 1;
            let message = ready!(Pin::new(&mut self.stream).poll_next(cx));
            if pulse.heard() {
                self.session.suspect_lane(self.guard.lane(), false);
            }
            match message {
                Some(Ok(message)) => {
                    if let Err(error) = self.take(&message, limits, pulse) {
                        self.session.close(&error);
                        return Poll::Ready(error);
                    }
                }
                None => return Poll::Ready(lost("the lane was closed by the other end")),
                Some(Err(status)) => return Poll::Ready(lost("the lane broke").with_source(status)),
            }
        }
    }

    fn lose(&self, error: TunnelError) -> TunnelError {
        debug!(session.id = %self.session.id(), lane.index = self.guard.lane().index(), %error, "a lane ended");
        self.session.lose_lane(self.guard.lane(), &error);
        error
    }

    /// Takes one message. An error ends the session.
    fn take(&self, message: &Encoded, limits: &Limits, pulse: &mut Pulse) -> Result<(), TunnelError> {
        let message = match decode(message, limits) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(error) => return self.refuse(error),
        };
        match message.payload {
            Payload::Ping(nonce) => self.guard.lane().signal(signal(Payload::Pong(nonce))),
            Payload::Pong(nonce) => {
                if let Some(time) = pulse.on_pong(nonce) {
                    metrics::round_trip(self.session.opens(), "lane", time);
                    self.session.on_round_trip(time);
                }
            }
            _ => {
                if let Some(accepted) = self.session.handle(self.guard.lane(), message)? {
                    (self.on_accept)(accepted);
                }
            }
        }
        Ok(())
    }

    /// Answers a message that breaks the rules. An error ends the session.
    fn refuse(&self, error: DecodeError) -> Result<(), TunnelError> {
        let DecodeError {
            id,
            opens,
            reason,
            what,
        } = error;
        warn!(session.id = %self.session.id(), request.id = ?id, what, "a message was refused");
        let Some(id) = id else {
            return Err(TunnelError::new(Cause::Protocol, Initiator::Peer, what));
        };
        if let Some((direction, protocol)) = opens {
            let opening = (id, direction, protocol);
            return self
                .session
                .reject_request(self.guard.lane(), opening, reason, what);
        }
        self.session.reject(id, reason, what)
    }
}

impl fmt::Debug for LaneReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneReader")
            .field("lane", self.guard.lane())
            .finish_non_exhaustive()
    }
}

fn signal(payload: Payload) -> TunnelMessage {
    TunnelMessage {
        id: RequestId::NIL,
        direction: Direction::ClientToServer,
        protocol: Protocol::Http,
        payload,
    }
}

fn lost(what: &'static str) -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Peer, what)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use prost::Message as _;

    use super::*;
    use crate::{
        dispatch::stream::tests::framed,
        generated::{self as pb, tunnel_message::Payload as Sent},
        test_session::session,
    };

    /// A message that says nothing to this end.
    fn small() -> Bytes {
        let message = pb::TunnelMessage {
            payload: Some(Sent::Pong(pb::Pong { nonce: 7 })),
            ..pb::TunnelMessage::default()
        };
        framed(message.encode_to_vec()).into()
    }

    #[tokio::test]
    async fn all_that_a_turn_of_the_connection_brings_is_taken_at_once() {
        let most = TUNNEL_TURN / LEAST;
        let taken = Arc::new(AtomicUsize::new(0));
        let frames = stream::repeat(small()).take(most).map({
            let taken = Arc::clone(&taken);
            move |message| {
                taken.fetch_add(1, Relaxed);
                Ok::<_, TunnelError>(Frame::data(message))
            }
        });
        let session = session("a");
        let guard = session.guard(session.add_lane(0).unwrap());
        let heartbeat = Heartbeat::default();
        let mut reader = LaneReader {
            session: session.clone(),
            guard,
            stream: LaneStream::new(StreamBody::new(frames.chain(stream::pending()))),
            heartbeat,
            on_accept: Arc::new(|_| {}),
        };
        let limits = Limits::from(session.local_settings());
        let mut pulse = Pulse::new(heartbeat);
        let polled = poll_fn(|cx| Poll::Ready(reader.poll(cx, &limits, &mut pulse))).await;
        assert!(polled.is_pending());
        assert_eq!(taken.load(Relaxed), most);
    }
}
