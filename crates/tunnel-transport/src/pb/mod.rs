//! Between the bytes of the wire and the types of the core.
//!
//! Here a message from the peer is checked: what comes out of [`decode`] keeps the rules of `tunnel.proto` that a single
//! message can break. (Those about order, credit and numbers of exchanges need the session.) Hop-by-hop fields are not
//! judged here; the core removes them where a head enters or leaves.
//!
//! The messages of exchanges do not pass through the generated types, which would cost each head a string for every name and
//! a list; those are for the set-up of streams, for tools, and for the tests that hold both codecs against each other.

mod decode;
mod encode;
mod fields;
mod heads;
mod known;
#[cfg(test)]
mod like;
mod tags;
#[cfg(test)]
mod tests;
mod wire;

pub use self::{
    decode::decode,
    encode::{Parts, Writer},
    wire::Encoded,
};

use tunnel_core::{Direction, Protocol, RequestId, ResetReason, Settings};

use crate::codec::{MAX_CHUNK_BYTES, MAX_FIELDS, MAX_HEAD_BYTES};

/// The most bytes of a reset's detail that are sent or kept.
const MAX_DETAIL_BYTES: usize = 256;

/// What this end takes in one message, as its settings told the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Body bytes in one message.
    pub chunk: usize,
    /// The cost of a head, and of trailers: method, scheme, authority, path, and for each header name, value and
    /// [`Self::PER_FIELD`], in bytes.
    pub head_bytes: usize,
    /// Fields of a head, and of trailers.
    pub fields: usize,
}

impl Limits {
    /// What a header costs beside its name and its value, in bytes.
    pub const PER_FIELD: usize = 4;

    /// The highest limits that settings may name.
    pub const MAX: Self = Self {
        chunk: MAX_CHUNK_BYTES,
        head_bytes: MAX_HEAD_BYTES,
        fields: MAX_FIELDS,
    };
}

impl From<Settings> for Limits {
    fn from(settings: Settings) -> Self {
        Self {
            chunk: settings.max_chunk as usize,
            head_bytes: settings.max_head_bytes as usize,
            fields: settings.max_fields as usize,
        }
    }
}

/// A message that breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct DecodeError {
    /// The exchange that is to be reset; without one, the session cannot go on.
    pub id: Option<RequestId>,
    /// The labels of a message that opens an exchange: its sender waits for an answer, which a reset must give.
    pub opens: Option<(Direction, Protocol)>,
    /// The reason for that reset.
    pub reason: ResetReason,
    /// Which field breaks what rule; it quotes nothing of the message.
    pub what: &'static str,
}

/// What is wrong with a message whose exchange is known.
#[derive(Clone, Copy, Debug)]
struct Fault {
    reason: ResetReason,
    what: &'static str,
}

impl Fault {
    const fn protocol(what: &'static str) -> Self {
        Self {
            reason: ResetReason::Protocol,
            what,
        }
    }

    const fn too_large(what: &'static str) -> Self {
        Self {
            reason: ResetReason::HeadTooLarge,
            what,
        }
    }

    const fn of(self, id: RequestId) -> DecodeError {
        DecodeError {
            id: Some(id),
            opens: None,
            reason: self.reason,
            what: self.what,
        }
    }
}

impl From<wire::Malformed> for Fault {
    fn from(_: wire::Malformed) -> Self {
        Self::protocol("a payload is no protobuf, or not that of tunnel.proto")
    }
}
