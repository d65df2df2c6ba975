//! A relay between a scripted client and a scripted far end, on a runtime that polls only what was woken.

mod close;
mod copy;
mod life;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body::Body as _;

use super::*;
use crate::{
    error::{Cause, Initiator},
    session::tests::runtime::{Join, TestRuntime},
    sync::lock,
    upgrade::{
        StreamBody,
        fixture::{Source, SourceBody, Wire, WireStream},
        split,
    },
    ws::{FrameHead, mask},
};

type TestRelay = Relay<SourceBody, WireStream>;

/// A relay that runs, with everything that it touches.
struct Bench {
    runtime: Arc<TestRuntime>,
    /// The client's side.
    wire: Wire,
    /// The server's direction.
    source: Source,
    relay: Join<()>,
    /// Not yet read.
    body: Option<StreamBody<WireStream>>,
    heard: Arc<Mutex<Heard>>,
    reader: Option<Join<()>>,
    /// Alive as long as the relay's lifetime.
    alive: std::sync::Weak<()>,
}

/// What the far end has of the client.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    end: Option<Result<(), TunnelError>>,
}

impl Bench {
    fn new(set: impl FnOnce(TestRelay, &Arc<TestRuntime>) -> TestRelay) -> Self {
        let runtime = TestRuntime::new();
        let (wire, stream) = Wire::new();
        let (source, from_server) = Source::new();
        let (body, writer) = split(stream);
        let (lifetime, guard) = (Lifetime::default(), Arc::new(()));
        let alive = Arc::downgrade(&guard);
        lifetime.hold(guard);
        let relay = Relay::new(from_server, writer)
            .runtime(runtime.clone())
            .lifetime(lifetime);
        let relay = runtime.start(set(relay, &runtime));
        Self {
            runtime,
            wire,
            source,
            relay,
            body: Some(body),
            heard: Arc::default(),
            reader: None,
            alive,
        }
    }

    fn opaque() -> Self {
        Self::new(|relay, _| relay)
    }

    fn websocket() -> Self {
        Self::new(|relay, _| relay.kind(Kind::WebSocket))
    }

    /// Reads what the client says, from now on.
    fn listen(mut self) -> Self {
        self.start_listening();
        self
    }

    fn start_listening(&mut self) {
        let mut body = self.body.take().expect("it is read once");
        let heard = self.heard.clone();
        self.reader = Some(self.runtime.start(async move {
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                match frame {
                    Ok(frame) => lock(&heard).bytes.extend(frame.into_data().expect("data")),
                    Err(error) => {
                        lock(&heard).end = Some(Err(error));
                        return;
                    }
                }
            }
            lock(&heard).end = Some(Ok(()));
        }));
        self.run();
    }

    /// The far end wants nothing of the client any more.
    fn abandon(&mut self) {
        self.body = None;
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
        self.run();
    }

    fn run(&self) {
        self.runtime.run();
    }

    fn advance(&self, seconds: u64) {
        self.runtime.advance(Duration::from_secs(seconds));
        self.run();
    }

    fn heard(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.heard).bytes)
    }

    /// How the client's direction ended for the far end: `None` in order, else why.
    fn heard_end(&self) -> Option<Option<Cause>> {
        let heard = lock(&self.heard);
        heard
            .end
            .as_ref()
            .map(|end| end.as_ref().err().map(TunnelError::cause))
    }

    /// Nothing is left of the stream, and the task is over.
    fn assert_over(&self) {
        assert!(self.relay.take().is_some(), "the relay still runs");
        assert!(self.wire.is_dropped() && self.source.is_dropped());
        assert!(self.alive.upgrade().is_none(), "the lifetime is still held");
    }

    fn assert_runs(&self) {
        assert!(!self.wire.is_dropped());
        assert!(self.alive.upgrade().is_some());
    }
}

fn error(cause: Cause) -> TunnelError {
    TunnelError::new(cause, Initiator::Peer, "it failed")
}

/// A frame of a server.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    close::server_frame(opcode, payload)
}

/// A frame of a client.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let head = FrameHead {
        fin: true,
        rsv: 0,
        opcode,
        mask: Some(key),
        length: payload.len() as u64,
    };
    let mut payload = payload.to_vec();
    mask(&mut payload, key, 0);
    [&head.encode()[..], &payload].concat()
}
