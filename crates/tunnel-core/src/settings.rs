//! What the two ends of a session tell each other at its start.

use crate::flow::{DEFAULT_INITIAL_CREDIT, MAX_CREDIT};

/// The limits of one end: what it takes from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Credit for each request's body at its start, in bytes: 1 KiB to [`MAX_CREDIT`].
    pub initial_credit: u32,
    /// The largest piece of body in one message, in bytes: 1 KiB to 64 KiB.
    pub max_chunk: u32,
    /// Exchanges that the other end may have open at one time: 1 to 1,000,000.
    pub max_exchanges: u32,
    /// Bytes of names and values of the headers in one head: 4 KiB to 64 KiB.
    pub max_head_bytes: u32,
    /// Fields in one head: 16 to 512.
    pub max_fields: u32,
}

impl Settings {
    /// The smallest window and chunk that still move a body at a useful pace, in bytes.
    pub const MIN_BYTES: u32 = 1024;
    /// The largest chunk, in bytes: larger ones gain nothing and make others wait longer.
    pub const MAX_CHUNK: u32 = 64 * 1024;
    /// The largest chunk by default, in bytes. With what the message, gRPC, HTTP/2, IP and TCP put around it, it still fits in one packet of
    /// a loopback interface (65,536 bytes on Linux), over which an end of the tunnel often speaks to what stands beside it: one of 64 KiB
    /// takes a second packet for its last hundred bytes, and each packet costs as much as the other.
    pub const DEFAULT_CHUNK: u32 = Self::MAX_CHUNK - 256;
    /// The largest head, in bytes: twice what an entry takes by default, since rules add headers.
    pub const MAX_HEAD_BYTES: u32 = 64 * 1024;

    /// These settings with every value brought into its bounds, so that a peer cannot ask for the impossible.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            initial_credit: self.initial_credit.clamp(Self::MIN_BYTES, MAX_CREDIT),
            max_chunk: self.max_chunk.clamp(Self::MIN_BYTES, Self::MAX_CHUNK),
            max_exchanges: self.max_exchanges.clamp(1, 1_000_000),
            max_head_bytes: self
                .max_head_bytes
                .clamp(4 * Self::MIN_BYTES, Self::MAX_HEAD_BYTES),
            max_fields: self.max_fields.clamp(16, 512),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_credit: DEFAULT_INITIAL_CREDIT,
            max_chunk: Self::DEFAULT_CHUNK,
            max_exchanges: 1_000,
            max_head_bytes: Self::MAX_HEAD_BYTES,
            max_fields: 200,
        }
    }
}

/// What an end can do beyond the first revision of the protocol; each bit stands for one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// None.
    pub const NONE: Self = Self(0);
    /// Bit 0: frames of WebSocket travel as frames, and not as bytes.
    pub const WEBSOCKET_FRAMES: Self = Self(1);
    /// All that this program has.
    pub const ALL: Self = Self::WEBSOCKET_FRAMES;

    /// The features that stand in a message, without those that nobody here knows.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// As they stand in a message.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Those that are among these and among `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_the_bounds() {
        assert_eq!(Settings::default().clamped(), Settings::default());
    }

    #[test]
    fn features_are_in_force_when_both_have_them() {
        let theirs = Features::from_bits(u64::MAX);
        assert_eq!(theirs, Features::ALL, "bits that nobody knows are left out");
        assert!(theirs.contains(Features::WEBSOCKET_FRAMES));
        assert_eq!(theirs.and(Features::NONE).bits(), 0);
    }

    #[test]
    fn a_peer_cannot_ask_for_the_impossible() {
        let zero = Settings {
            initial_credit: 0,
            max_chunk: 0,
            max_exchanges: 0,
            max_head_bytes: 0,
            max_fields: 0,
        }
        .clamped();
        assert_eq!(
            (zero.initial_credit, zero.max_chunk, zero.max_exchanges),
            (1024, 1024, 1)
        );
    }
}
