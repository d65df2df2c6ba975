//! Between the generated types and those of the core.
//!
//! Here a message from the peer is checked: what comes out of [`decode`] keeps the rules of `tunnel.proto` that a single
//! message can break. (Those about order, credit and numbers of exchanges need the session.) Hop-by-hop fields are not
//! judged here; the core removes them where a head enters or leaves.

mod decode;
mod encode;
mod fields;
mod like;
#[cfg(test)]
mod tests;

pub use self::{decode::decode, encode::encode};

use tunnel_core::{RequestId, ResetReason, Settings};

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
            reason: self.reason,
            what: self.what,
        }
    }
}
