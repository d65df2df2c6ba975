//! What the tunnel says itself to a WebSocket client when it has to end the stream.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::{
    error::{Cause, TunnelError},
    ws::{FrameHead, opcode},
};

/// The longest control frame of a server, in bytes (RFC 6455, section 5.5).
pub(super) const MAX_FRAME_BYTES: usize = 2 + 125;

/// A Close that the tunnel makes (RFC 6455, section 7.4.1). 1005, 1006 and 1015 are never on a wire, and there is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Close {
    pub(super) const STOPPING: Self = Self {
        code: 1001,
        reason: "the server is stopping",
    };
    pub(super) const DEADLINE: Self = Self {
        code: 1001,
        reason: "the deadline passed",
    };
    /// Section 7.4.1: the endpoint's policy was violated.
    pub(super) const EXPIRED: Self = Self {
        code: 1008,
        reason: "the credentials expired",
    };
    pub(super) const IDLE: Self = Self {
        code: 1001,
        reason: "nothing was said for too long",
    };
    const AGENT_LOST: Self = Self {
        code: 1012,
        reason: "the agent was lost",
    };
    const MALFORMED: Self = Self {
        code: 1002,
        reason: "the bytes are no frames of WebSocket",
    };

    /// What a client hears when the server's direction failed with `error`. Where there is nothing to say that the server did not
    /// say itself, it hears nothing, and the stream breaks off as the server's did.
    pub(super) fn of(error: &TunnelError) -> Option<Self> {
        match error.cause() {
            Cause::AgentLost => Some(Self::AGENT_LOST),
            Cause::Draining => Some(Self::STOPPING),
            Cause::Deadline => Some(Self::DEADLINE),
            Cause::Malformed => Some(Self::MALFORMED),
            _ => None,
        }
    }

    /// The frame, as a server sends it.
    pub(super) fn frame(self) -> Bytes {
        let payload = [&self.code.to_be_bytes(), self.reason.as_bytes()].concat();
        frame(opcode::CLOSE, &payload)
    }
}

/// A control frame of a server.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let head = FrameHead {
        fin: true,
        rsv: 0,
        opcode,
        mask: None,
        length: payload.len() as u64,
    };
    let head = head.encode();
    let mut frame = BytesMut::with_capacity(head.len() + payload.len());
    frame.put_slice(&head);
    frame.put_slice(payload);
    frame.freeze()
}
