//! The wire of RFC 6455, section 5.2.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The kinds of frames that RFC 6455 knows.
pub mod opcode {
    /// More of the message that another frame began.
    pub const CONTINUATION: u8 = 0;
    /// UTF-8.
    pub const TEXT: u8 = 1;
    /// Any bytes.
    pub const BINARY: u8 = 2;
    /// The last frame of a direction.
    pub const CLOSE: u8 = 8;
    /// Asks for a pong.
    pub const PING: u8 = 9;
    /// Answers a ping.
    pub const PONG: u8 = 10;
}

/// What precedes a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame is the last of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 being the most significant one.
    pub reserved: u8,
    /// The kind.
    pub opcode: u8,
    /// What the payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// The payload's bytes.
    pub len: u64,
}

impl Header {
    /// Writes it, with the shortest form of the length.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode);
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.len {
            len @ 0..126 => out.put_u8(masked | len as u8),
            len @ 126..0x1_0000 => {
                out.put_u8(masked | 126);
                out.put_u16(len as u16);
            }
            len => {
                out.put_u8(masked | 127);
                out.put_u64(len);
            }
        }
        out.put_slice(self.mask.as_ref().map_or(&[], |key| &key[..]));
    }

    /// Takes one from the beginning of `bytes`, if it is there whole.
    pub fn decode(bytes: &mut BytesMut) -> Option<Self> {
        let [first, second, ..] = **bytes else { return None };
        let extended = match second & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = second & 128 != 0;
        if bytes.len() < 2 + extended + if masked { 4 } else { 0 } {
            return None;
        }
        bytes.advance(2);
        let len = match extended {
            2 => bytes.get_u16().into(),
            8 => bytes.get_u64(),
            _ => u64::from(second & 127),
        };
        let mask = masked.then(|| {
            let mut key = [0; 4];
            bytes.copy_to_slice(&mut key);
            key
        });
        Some(Self {
            fin: first & 128 != 0,
            reserved: first >> 4 & 7,
            opcode: first & 15,
            mask,
            len,
        })
    }
}

/// A frame, as its sender means it: without the mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is the last of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 being the most significant one.
    pub reserved: u8,
    /// The kind.
    pub opcode: u8,
    /// The content.
    pub payload: Bytes,
}

impl Frame {
    /// A whole message, or a control frame.
    pub fn new(opcode: u8, payload: impl Into<Bytes>) -> Self {
        Self {
            fin: true,
            reserved: 0,
            opcode,
            payload: payload.into(),
        }
    }

    /// A message of text.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::new(opcode::TEXT, text)
    }

    /// A message of bytes.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::new(opcode::BINARY, bytes)
    }

    /// A close with its code.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        let mut payload = BytesMut::new();
        payload.put_u16(code);
        payload.put_slice(reason.as_bytes());
        Self::new(opcode::CLOSE, payload)
    }

    /// The same frame, as one that more of the message follows.
    #[must_use]
    pub fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same frame with these reserved bits.
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// The code of a close, if this is one that has one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        (self.opcode == opcode::CLOSE && self.payload.len() >= 2).then(|| self.payload.clone().get_u16())
    }

    /// What precedes its payload.
    #[must_use]
    pub fn header(&self, mask: Option<[u8; 4]>) -> Header {
        Header {
            fin: self.fin,
            reserved: self.reserved,
            opcode: self.opcode,
            mask,
            len: self.payload.len() as u64,
        }
    }
}

/// Masks or unmasks, where `offset` bytes of the payload came before these.
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4], offset: u64) {
    if key == [0; 4] {
        return;
    }
    let mut turned = key;
    turned.rotate_left((offset % 4) as usize);
    let word = u64::from(u32::from_ne_bytes(turned)) * 0x1_0000_0001;
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}
