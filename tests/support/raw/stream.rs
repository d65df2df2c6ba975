//! One stream of a scripted peer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Status, Streaming};
use tunnel_core::ResetReason;
use tunnel_transport::wire::{self as pb, tunnel_message::Payload};

/// One stream of a scripted peer: it sends what the script says, and gives what comes.
///
/// Pings are answered while the script waits for something, unless [`ignore_pings`](Self::ignore_pings) was called.
/// Dropping it resets the stream.
#[derive(Debug)]
pub struct RawStream {
    outgoing: Option<mpsc::Sender<pb::TunnelMessage>>,
    incoming: Streaming<pb::TunnelMessage>,
    answers_pings: bool,
}

/// How a stream ended.
#[derive(Debug)]
pub struct Ended(pub Option<Status>);

/// How messages are put into DATA frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As many as are ready go together, as every sane sender does it.
    Together,
    /// Each message in a DATA frame of its own.
    OnePerFrame,
}

/// A request, as the raw peer sees it.
#[derive(Debug)]
pub struct ReceivedRequest {
    /// The exchange.
    pub id: String,
    /// The head, and what came with it.
    pub head: pb::HttpRequest,
}

/// The messages of a script, as gRPC takes them.
#[derive(Debug)]
pub(super) struct Script {
    messages: mpsc::Receiver<pb::TunnelMessage>,
    pace: Pace,
    pauses: bool,
}

/// A queue for the messages of one stream.
pub(super) fn script(pace: Pace) -> (mpsc::Sender<pb::TunnelMessage>, Script) {
    let (sender, messages) = mpsc::channel(256);
    let script = Script {
        messages,
        pace,
        pauses: false,
    };
    (sender, script)
}

impl Stream for Script {
    type Item = pb::TunnelMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<pb::TunnelMessage>> {
        if std::mem::take(&mut self.pauses) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let message = self.messages.poll_recv(cx);
        self.pauses = self.pace == Pace::OnePerFrame && message.is_ready();
        message
    }
}

impl RawStream {
    pub(super) fn new(
        outgoing: mpsc::Sender<pb::TunnelMessage>,
        incoming: Streaming<pb::TunnelMessage>,
    ) -> Self {
        Self {
            outgoing: Some(outgoing),
            incoming,
            answers_pings: true,
        }
    }

    /// Sends a message.
    ///
    /// # Panics
    ///
    /// When this end has ended, or the other does not take messages any more.
    pub async fn send(&self, message: impl Into<pb::TunnelMessage>) {
        assert!(
            self.offer(message).await,
            "the other end takes no messages any more"
        );
    }

    /// Sends a message, and says whether the other end still takes any.
    pub async fn offer(&self, message: impl Into<pb::TunnelMessage>) -> bool {
        match &self.outgoing {
            Some(outgoing) => outgoing.send(message.into()).await.is_ok(),
            None => false,
        }
    }

    /// Ends what this end sends, and goes on reading.
    pub fn end(&mut self) {
        self.outgoing = None;
    }

    /// Is silent from now on when it is asked whether it is there.
    pub fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// Reads on by itself, answers pings, and forgets the rest. The stream ends with the task.
    pub fn run_in_background(mut self) -> JoinHandle<Ended> {
        tokio::spawn(async move {
            loop {
                if let Err(ended) = self.next().await {
                    return ended;
                }
            }
        })
    }

    /// The next message that is no ping.
    ///
    /// # Errors
    ///
    /// The stream has ended.
    pub async fn next(&mut self) -> Result<pb::TunnelMessage, Ended> {
        loop {
            match self.incoming.message().await {
                Ok(Some(message)) => match message.payload {
                    Some(Payload::Ping(pb::Ping { nonce })) => {
                        if self.answers_pings {
                            self.offer(super::message::pong(nonce)).await;
                        }
                    }
                    _ => return Ok(message),
                },
                Ok(None) => return Err(Ended(None)),
                Err(status) => return Err(Ended(Some(status))),
            }
        }
    }

    async fn payload(&mut self) -> (String, Payload) {
        match self.next().await {
            Ok(message) => {
                let payload = message.payload.expect("every message has a payload");
                (message.request_id, payload)
            }
            Err(ended) => panic!("the stream ended: {ended:?}"),
        }
    }

    async fn payload_of(&mut self, id: &str) -> Payload {
        let (of, payload) = self.payload().await;
        assert_eq!(of, id, "{payload:?} is of another exchange");
        payload
    }

    /// Waits for the consent to this stream.
    pub async fn expect_opened(&mut self) -> pb::StreamOpenResponse {
        match self.payload().await.1 {
            Payload::StreamOpenResponse(response) => response,
            other => panic!("expected stream_open_response, got {other:?}"),
        }
    }

    /// Waits for the wish to open this stream.
    pub async fn expect_open(&mut self) -> pb::StreamOpen {
        match self.payload().await.1 {
            Payload::StreamOpen(open) => open,
            other => panic!("expected stream_open, got {other:?}"),
        }
    }

    /// Waits for an error of the stream or the session.
    pub async fn expect_error(&mut self) -> pb::ErrorMessage {
        match self.payload().await.1 {
            Payload::ErrorMessage(error) => error,
            other => panic!("expected error_message, got {other:?}"),
        }
    }

    /// Waits for a pong, and gives its number.
    pub async fn expect_pong(&mut self) -> u64 {
        match self.payload().await.1 {
            Payload::Pong(pb::Pong { nonce }) => nonce,
            other => panic!("expected pong, got {other:?}"),
        }
    }

    /// Waits for the wish to stop.
    pub async fn expect_drain(&mut self) -> pb::Drain {
        match self.payload().await.1 {
            Payload::Drain(drain) => drain,
            other => panic!("expected drain, got {other:?}"),
        }
    }

    /// Waits for a request of plain HTTP.
    pub async fn expect_request(&mut self) -> ReceivedRequest {
        match self.payload().await {
            (id, Payload::HttpRequest(head)) => ReceivedRequest { id, head },
            (_, other) => panic!("expected http_request, got {other:?}"),
        }
    }

    /// Waits for the response of this exchange.
    pub async fn expect_response(&mut self, id: &str) -> pb::HttpResponse {
        match self.payload_of(id).await {
            Payload::HttpResponse(response) => response,
            other => panic!("expected http_response, got {other:?}"),
        }
    }

    /// Waits for a piece of body of this exchange.
    pub async fn expect_chunk(&mut self, id: &str) -> pb::HttpBodyChunk {
        match self.payload_of(id).await {
            Payload::HttpChunk(chunk) => chunk,
            other => panic!("expected http_chunk, got {other:?}"),
        }
    }

    /// Waits for more credit of this exchange.
    pub async fn expect_window(&mut self, id: &str) -> u32 {
        match self.payload_of(id).await {
            Payload::WindowUpdate(pb::WindowUpdate { increment }) => increment,
            other => panic!("expected window_update, got {other:?}"),
        }
    }

    /// Waits for the reset of this exchange.
    pub async fn expect_reset(&mut self, id: &str) -> ResetReason {
        match self.payload_of(id).await {
            Payload::Reset(pb::Reset { reason, .. }) => ResetReason::from_code(reason),
            other => panic!("expected reset, got {other:?}"),
        }
    }

    /// Waits for the end of the stream.
    pub async fn expect_end(&mut self) -> Ended {
        match self.next().await {
            Ok(message) => panic!("expected the end of the stream, got {message:?}"),
            Err(ended) => ended,
        }
    }

    /// Waits for the end of the stream, whatever comes before it.
    pub async fn read_to_end(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.next().await {
                return ended;
            }
        }
    }

    /// Waits until everything sent so far has been taken and handled by the other end, whatever else comes before that.
    pub async fn settle(&mut self) {
        let nonce: u64 = rand::random();
        self.send(super::message::ping(nonce)).await;
        loop {
            let (_, payload) = self.payload().await;
            if payload == Payload::Pong(pb::Pong { nonce }) {
                return;
            }
        }
    }
}
