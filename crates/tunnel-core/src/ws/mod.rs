//! The frames of WebSocket (RFC 6455, section 5.2), without I/O: heads, masks, and where frames begin and end.
//!
//! The tunnel carries frames as they are. It judges neither opcodes nor reserved bits nor the lengths of control frames; that is
//! for the endpoints. It wants only what it needs to find the borders: lengths that are written as short as possible and have
//! at most 63 bits, and a mask where one must be.

mod assembler;
mod decoder;
mod encoder;
mod head;
#[cfg(test)]
mod tests;
mod tracker;

pub(crate) use self::{assembler::Assembler, decoder::Decoder, encoder::Encoder};
pub use self::{
    assembler::WsFrame,
    head::{FrameError, FrameHead, HeadBytes, HeadReader, mask, opcode},
    tracker::{Step, Tracker},
};
