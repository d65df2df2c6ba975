//! Placeholder.

mod codec;
mod generated;
mod pb;

/// The wire as it is, for scripted peers, fuzzing and tools.
///
/// No stability is promised here: these are the types that the generators make of `proto/tunnel/v1/tunnel.proto`, and
/// the functions that translate them. Programs that only use the tunnel need none of it.
#[doc(hidden)]
pub mod wire {
    pub use crate::{
        codec::{MAX_CHUNK_BYTES, MAX_FIELDS, MAX_HEAD_BYTES, MAX_MESSAGE_BYTES, TunnelCodec},
        generated::*,
        pb::{DecodeError, Limits, decode, encode},
    };
}
