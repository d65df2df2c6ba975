//! The task that reads one lane.

use std::{fmt, future::poll_fn, sync::Arc};

use tonic::Streaming;
use tracing::{debug, warn};
use tunnel_core::{
    Accepted, Cause, Direction, Initiator, LaneGuard, Payload, Protocol, RequestId, Session, TunnelError,
    TunnelMessage,
};

use crate::{
    generated as pb,
    heartbeat::{Beat, Heartbeat, Pulse},
    pb::{DecodeError, Limits, decode},
};

/// What is done with an exchange that the other end opens. It must not wait.
pub(crate) type OnAccept = Arc<dyn Fn(Accepted) + Send + Sync>;

/// Reads one lane to its end. It never waits for an exchange's consumer or for the lane's writer: what it must store is
/// bounded by credit.
pub(crate) struct LaneReader {
    pub(crate) session: Session,
    pub(crate) guard: LaneGuard,
    pub(crate) stream: Streaming<pb::TunnelMessage>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) on_accept: OnAccept,
}

impl LaneReader {
    /// Reads until the stream ends or the session is closed, and says why. Dropping the future loses the lane.
    pub(crate) async fn run(self) -> TunnelError {
        let session = self.session.clone();
        tokio::select! {
            error = self.read() => error,
            error = poll_fn(|cx| session.poll_closed(cx)) => error,
        }
    }

    async fn read(mut self) -> TunnelError {
        let limits = Limits::from(self.session.local_settings());
        let mut pulse = Pulse::new(self.heartbeat);
        let error = loop {
            tokio::select! {
                message = self.stream.message() => {
                    if pulse.heard() {
                        self.session.suspect_lane(self.guard.lane(), false);
                    }
                    match message {
                        Ok(Some(message)) => {
                            if let Err(error) = self.take(message, &limits, &mut pulse) {
                                self.session.close(&error);
                                break error;
                            }
                        }
                        Ok(None) => break lost("the lane was closed by the other end"),
                        Err(status) => break lost("the lane broke").with_source(status),
                    }
                    // Decoded messages come out of one buffer, so that nothing else would yield.
                    tokio::task::coop::consume_budget().await;
                }
                beat = pulse.beat() => match beat {
                    Beat::Ping(nonce) => {
                        self.guard.lane().signal(signal(Payload::Ping(nonce)));
                        self.session.suspect_lane(self.guard.lane(), pulse.is_suspect());
                    }
                    Beat::Lost => break lost("the lane was silent for too long"),
                }
            }
        };
        debug!(session.id = %self.session.id(), lane.index = self.guard.lane().index(), %error, "a lane ended");
        self.session.lose_lane(self.guard.lane(), &error);
        error
    }

    /// Takes one message. An error ends the session.
    fn take(
        &self,
        message: pb::TunnelMessage,
        limits: &Limits,
        pulse: &mut Pulse,
    ) -> Result<(), TunnelError> {
        let request = Opening::of(&message);
        let message = match decode(message, limits) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(error) => return self.refuse(error, request),
        };
        match message.payload {
            Payload::Ping(nonce) => self.guard.lane().signal(signal(Payload::Pong(nonce))),
            Payload::Pong(nonce) => {
                if let Some(time) = pulse.on_pong(nonce) {
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
    fn refuse(&self, error: DecodeError, request: Option<Opening>) -> Result<(), TunnelError> {
        let DecodeError { id, reason, what } = error;
        warn!(session.id = %self.session.id(), request.id = ?id, what, "a message was refused");
        let Some(id) = id else {
            return Err(TunnelError::new(Cause::Protocol, Initiator::Peer, what));
        };
        if let Some(Opening { direction, protocol }) = request {
            let opening = (id, direction, protocol);
            return self
                .session
                .reject_request(self.guard.lane(), opening, reason, what);
        }
        self.session.reject(id, reason, what)
    }
}

/// The labels of a message that opens an exchange.
#[derive(Clone, Copy, Debug)]
struct Opening {
    direction: Direction,
    protocol: Protocol,
}

impl Opening {
    /// `None` for every other message.
    fn of(message: &pb::TunnelMessage) -> Option<Self> {
        use pb::tunnel_message::Payload::{GrpcRequest, HttpRequest, WsRequest};
        let protocol = match message.payload {
            Some(HttpRequest(_)) => Protocol::Http,
            Some(GrpcRequest(_)) => Protocol::Grpc,
            Some(WsRequest(_)) => Protocol::WebSocket,
            _ => return None,
        };
        let direction = match message.direction {
            0 => Direction::ClientToServer,
            _ => Direction::ServerToClient,
        };
        Some(Self { direction, protocol })
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
