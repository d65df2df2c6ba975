//! Header lists.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Fault, Limits,
    known::known_name,
    tags::header,
    wire::{Encoded, Fields, Malformed, bytes_len, put_bytes, put_key, short_key},
};

/// Where the parts of a head get their bytes from: slices of a short message, which has no other bytes, or copies in one block,
/// which do not hold on to a long message for as long as the head lives.
pub(super) enum Source<'a> {
    Short(&'a Bytes),
    Block(BytesMut),
}

impl<'a> Source<'a> {
    /// For parts of `message` of `room` bytes in all.
    pub(super) fn of(message: &'a Encoded, room: usize) -> Self {
        if message.is_short() {
            Self::Short(message.bytes())
        } else {
            Self::Block(BytesMut::with_capacity(room))
        }
    }

    /// A part of the message, to be kept.
    pub(super) fn part(&mut self, part: &[u8]) -> Bytes {
        match self {
            _ if part.is_empty() => Bytes::new(),
            Self::Short(message) => message.slice_ref(part),
            Self::Block(block) => {
                block.extend_from_slice(part);
                block.split().freeze()
            }
        }
    }
}

/// A list of fields as it came: names and values that nobody has looked at. They are read twice, once to be counted and once to be
/// [kept](Self::to_map), which takes less than to note where each of them is.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    /// The message that has them, and the tag they have there.
    content: &'a [u8],
    tag: u32,
    count: usize,
    /// The bytes of names and values.
    bytes: usize,
    is_too_long: bool,
}

impl<'a> List<'a> {
    /// The fields under `tag` in `content`; none before they are [counted](Self::count).
    pub(super) const fn of(content: &'a [u8], tag: u32) -> Self {
        Self {
            content,
            tag,
            count: 0,
            bytes: 0,
            is_too_long: false,
        }
    }

    /// Counts a `Header`. What is beyond the limits is noted, and will not be kept.
    pub(super) fn count(&mut self, encoded: &'a [u8], limits: &Limits) -> Result<(), Malformed> {
        let (name, value) = field(encoded)?;
        if self.count >= limits.fields {
            self.is_too_long = true;
            return Ok(());
        }
        self.bytes += name.len() + value.len();
        self.count += 1;
        Ok(())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0 && !self.is_too_long
    }

    /// The bytes of names and values.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the list and `more` bytes beside it stay within the limits; looked at before anything is copied.
    pub(super) fn check(&self, more: usize, limits: &Limits) -> Result<(), Fault> {
        if self.is_too_long {
            return Err(Fault::too_large("there are more fields than the settings allow"));
        }
        if self.bytes + self.count * Limits::PER_FIELD + more > limits.head_bytes {
            return Err(Fault::too_large(
                "the head or the trailers are larger than the settings allow",
            ));
        }
        Ok(())
    }

    /// The map of a list that [`check`](Self::check) let through, with room for `more` fields, and for `least` in all.
    pub(super) fn to_map(
        self,
        source: &mut Source<'_>,
        more: usize,
        least: usize,
    ) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::with_capacity(least.max(self.count + more));
        let mut left = self.count;
        let mut fields = Fields(self.content);
        while left > 0
            && let Some((tag, encoded)) = fields.next()?
        {
            if tag != self.tag {
                continue;
            }
            left -= 1;
            let (name, value) = field(encoded.bytes()?)?;
            let name = to_name(name)?;
            let value = HeaderValue::from_maybe_shared(source.part(value))
                .map_err(|_| Fault::protocol("a header value has a control character"))?;
            headers
                .try_append(name, value)
                .map_err(|_| Fault::too_large("there are more fields than a map of headers holds"))?;
        }
        Ok(headers)
    }
}

/// Name and value of a `Header`.
#[inline]
fn field(encoded: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    match usual(encoded) {
        Some(field) => Ok(field),
        None => any(encoded),
    }
}

const NAME_KEY: u8 = short_key(header::NAME);
const VALUE_KEY: u8 = short_key(header::VALUE);

/// Name and value of a `Header` as every writer writes it: once each, in order, and both shorter than 128 bytes.
fn usual(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let [NAME_KEY, len @ 0..0x80, rest @ ..] = encoded else {
        return None;
    };
    let (name, rest) = rest.split_at_checked(usize::from(*len))?;
    match rest {
        [VALUE_KEY, len @ 0..0x80, value @ ..] if usize::from(*len) == value.len() => Some((name, value)),
        _ => None,
    }
}

/// Name and value of any `Header`.
fn any(encoded: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields(encoded);
    while let Some((tag, found)) = fields.next()? {
        match tag {
            header::NAME => name = found.bytes()?,
            header::VALUE => value = found.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn to_name(name: &[u8]) -> Result<HeaderName, Fault> {
    if let Some(known) = known_name(name) {
        return Ok(known);
    }
    HeaderName::from_lowercase(name).map_err(|_| wrong_name(name))
}

fn wrong_name(name: &[u8]) -> Fault {
    if name.starts_with(b":") {
        return Fault::protocol("a pseudo header stands among the headers");
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Fault::protocol("a header name is not in lower case");
    }
    Fault::protocol("a header name is no token")
}

/// Writes a list, each field of it under `tag`, which is below 16.
pub(super) fn put_list(out: &mut Vec<u8>, tag: u32, headers: &HeaderMap) {
    for (name, value) in headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        let len = 2 + name.len() + 2 + value.len();
        if !value.is_empty() && len < 0x80 {
            // Most are so short that each length is one byte.
            out.reserve(2 + len);
            out.extend([short_key(tag), len as u8, NAME_KEY, name.len() as u8]);
            out.extend_from_slice(name);
            out.extend([VALUE_KEY, value.len() as u8]);
            out.extend_from_slice(value);
            continue;
        }
        out.reserve(len + MOST_FRAMING);
        put_key(out, tag, bytes_len(name) + bytes_len(value));
        put_bytes(out, header::NAME, name);
        put_bytes(out, header::VALUE, value);
    }
}

/// The most bytes of keys and lengths in one `Header`, for lengths of less than 256 MiB.
const MOST_FRAMING: usize = 3 + 3 * 4;
