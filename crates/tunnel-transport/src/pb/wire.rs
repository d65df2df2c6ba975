//! The encoding of protobuf, as far as the messages of exchanges need it: numbers, and what has a length.
//!
//! Written and read by hand, because the generated types would stand between the bytes and those of the core, with a string
//! for each name and a list for each head. The tests hold both against each other, byte for byte.

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_varint, encode_varint, skip_field};

/// Shorter messages are copied out of the receive buffer, because a slice keeps all of that buffer alive.
const COPY_BELOW: usize = 16 * 1024;

/// The most bytes that a receive buffer has, about.
const RECEIVE_BUFFER: usize = 128 * 1024;

/// One message as it came. A short one has memory of its own, so that parts of it may live on as slices.
#[derive(Clone, Debug)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Takes all that is left in `buf`.
    pub fn take(buf: &mut impl Buf) -> Self {
        let len = buf.remaining();
        let chunk = buf.chunk();
        if len >= COPY_BELOW || chunk.len() != len {
            return Self(buf.copy_to_bytes(len));
        }
        let bytes = Bytes::copy_from_slice(chunk);
        buf.advance(len);
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether slices of this hold on to nothing else.
    pub(super) fn is_short(&self) -> bool {
        self.0.len() < COPY_BELOW
    }

    /// The bytes that a slice of this keeps alive, about.
    pub(super) fn held(&self) -> usize {
        if self.is_short() {
            self.0.len()
        } else {
            RECEIVE_BUFFER
        }
    }
}

/// No protobuf, or a known field of another type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

/// What a field has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that no known field has.
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn number(self) -> Result<u64, Malformed> {
        match self {
            Value::Number(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    pub(super) fn flag(self) -> Result<bool, Malformed> {
        Ok(self.number()? != 0)
    }

    /// As every reader of protobuf does it, without the bits that are too many.
    #[allow(clippy::cast_possible_truncation, reason = "as the specification says")]
    pub(super) fn u32(self) -> Result<u32, Malformed> {
        Ok(self.number()? as u32)
    }

    #[allow(clippy::cast_possible_truncation, reason = "as the specification says")]
    pub(super) fn i32(self) -> Result<i32, Malformed> {
        Ok(self.number()? as i32)
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }
}

/// The fields of one message, in the order in which they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The number of the next field, and what it has.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        // Most fields are short names and values with a number below 16: one byte of key, and one of length.
        if let [key @ 8..0x80, len @ 0..0x80, rest @ ..] = self.0
            && key & 7 == WireType::LengthDelimited as u8
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(*len))
        {
            self.0 = rest;
            return Ok(Some((u32::from(key >> 3), Value::Bytes(bytes))));
        }
        self.next_of_any()
    }

    fn next_of_any(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let tag = key >> 3;
        if tag == 0 {
            return Err(Malformed);
        }
        let value = match WireType::try_from(u64::from(key & 7)).map_err(|_| Malformed)? {
            WireType::Varint => Value::Number(self.varint()?),
            WireType::LengthDelimited => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            other => {
                skip_field(other, tag, &mut self.0, DecodeContext::default()).map_err(|_| Malformed)?;
                Value::Other
            }
        };
        Ok(Some((tag, value)))
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.0 {
            [first, rest @ ..] if *first < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*first))
            }
            _ => decode_varint(&mut self.0).map_err(|_| Malformed),
        }
    }
}

/// How long a number is.
const fn varint_len(number: usize) -> usize {
    prost::encoding::encoded_len_varint(number as u64)
}

#[inline(always)]
fn put_varint(out: &mut Vec<u8>, number: u64) {
    // Most keys and lengths are one byte.
    if number < 0x80 {
        out.push(number as u8);
    } else {
        encode_varint(number, out);
    }
}

/// A number, unless it is 0: then a field is left out.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, tag: u32, number: impl Into<u64>) {
    let number = number.into();
    if number != 0 {
        put_varint(out, u64::from(tag << 3));
        put_varint(out, number);
    }
}

/// The key of bytes with a tag below 16.
pub(super) const fn short_key(tag: u32) -> u8 {
    debug_assert!(tag < 16, "the key of a higher tag has two bytes");
    (tag << 3) as u8 | WireType::LengthDelimited as u8
}

/// The key and the length of `len` bytes that follow.
#[inline(always)]
pub(super) fn put_key(out: &mut Vec<u8>, tag: u32, len: usize) {
    let key = tag << 3 | WireType::LengthDelimited as u32;
    if key < 0x80 && len < 0x80 {
        // An array is written in place, where a slice would be copied by a call.
        out.extend([key as u8, len as u8]);
    } else {
        put_varint(out, u64::from(key));
        put_varint(out, len as u64);
    }
}

/// Bytes, unless there are none.
#[inline(always)]
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_key(out, tag, bytes.len());
        out.extend_from_slice(bytes);
    }
}

/// How long [`put_bytes`] makes this, with a tag below 16.
#[inline]
pub(super) const fn bytes_len(bytes: &[u8]) -> usize {
    match bytes.len() {
        0 => 0,
        len => 1 + varint_len(len) + len,
    }
}
