//! What both ends of a ControlStream do: heartbeat, and what the other end says.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use tunnel_core::Direction;

use super::setup::control;
use crate::{
    generated::{self as pb, tunnel_message::Payload},
    heartbeat::{Beat, Heartbeat, Pulse},
};

/// Messages of a ControlStream that wait to be written.
const MAX_QUEUED: usize = 64;

/// What happened on a ControlStream.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "matched as soon as it is made")]
pub(crate) enum Event {
    /// The other end said this.
    Said(Payload),
    /// Nothing came during the last interval, which is told again after each, or something came again after such a silence.
    Suspect(bool),
    /// The stream is over.
    Ended(Option<Status>),
    /// The other end was silent for too long.
    Silent,
}

/// One end of a ControlStream.
#[derive(Debug)]
pub(crate) struct ControlStream {
    stream: Streaming<pb::TunnelMessage>,
    replies: Replies,
    pulse: Pulse,
    /// Which exchanges this end opens.
    opens: Direction,
    /// What was said first after a silence.
    said: Option<Payload>,
}

/// A message on its way to the other end of a ControlStream.
pub(crate) type Reply = Result<pb::TunnelMessage, Status>;
/// Where such messages are queued.
pub(crate) type Replies = mpsc::Sender<Reply>;

/// The queue of one end of a ControlStream.
pub(crate) fn channel() -> (Replies, mpsc::Receiver<Reply>) {
    mpsc::channel(MAX_QUEUED)
}

impl ControlStream {
    pub(crate) fn new(
        stream: Streaming<pb::TunnelMessage>,
        replies: Replies,
        heartbeat: Heartbeat,
        opens: Direction,
    ) -> Self {
        Self {
            stream,
            replies,
            pulse: Pulse::new(heartbeat),
            opens,
            said: None,
        }
    }

    /// The next event; pings and pongs are answered on the way. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        if let Some(payload) = self.said.take() {
            return Event::Said(payload);
        }
        loop {
            tokio::select! {
                message = self.stream.message() => match message {
                    Ok(Some(message)) => {
                        let is_back = self.pulse.heard();
                        match message.payload {
                            Some(Payload::Ping(pb::Ping { nonce })) => drop(self.say(Payload::Pong(pb::Pong { nonce }))),
                            Some(Payload::Pong(pb::Pong { nonce })) => self.pong(nonce),
                            Some(payload) if is_back => self.said = Some(payload),
                            Some(payload) => return Event::Said(payload),
                            None => {}
                        }
                        if is_back {
                            return Event::Suspect(false);
                        }
                    }
                    Ok(None) => return Event::Ended(None),
                    Err(status) => return Event::Ended(Some(status)),
                },
                beat = self.pulse.beat() => match beat {
                    Beat::Lost => return Event::Silent,
                    Beat::Ping(nonce) => {
                        self.say(Payload::Ping(pb::Ping { nonce }));
                        if self.pulse.is_suspect() {
                            return Event::Suspect(true);
                        }
                    }
                },
            }
        }
    }

    fn pong(&mut self, nonce: u64) {
        if let Some(time) = self.pulse.on_pong(nonce) {
            crate::metrics::round_trip(self.opens, "control", time);
        }
    }

    /// Queues a message. When the peer reads none of them it is dropped: the heartbeat then ends the stream.
    /// Tells whether it was queued.
    pub(crate) fn say(&self, payload: Payload) -> bool {
        self.replies.try_send(Ok(control(payload))).is_ok()
    }
}
