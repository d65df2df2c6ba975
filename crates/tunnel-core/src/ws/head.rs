//! What stands before the payload of a frame.

use std::ops::Deref;

/// The opcodes of RFC 6455, section 5.2.
pub mod opcode {
    /// More of a message.
    pub const CONTINUATION: u8 = 0;
    /// The beginning of a message of text.
    pub const TEXT: u8 = 1;
    /// The beginning of a message of bytes.
    pub const BINARY: u8 = 2;
    /// The last frame of a direction.
    pub const CLOSE: u8 = 8;
    /// A question whether the other endpoint is alive.
    pub const PING: u8 = 9;
    /// The answer to a ping.
    pub const PONG: u8 = 10;
}

/// The longest payload of a frame, in bytes: the highest bit of its length must be zero.
const MAX_LENGTH: u64 = u64::MAX >> 1;

/// How bytes fail to be frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is not written as short as possible.
    #[error("the length of a WebSocket frame is not in its shortest form")]
    NotShortest,
    /// The length has 64 bits.
    #[error("a WebSocket frame is longer than there can be")]
    TooLong,
    /// A frame without a mask came from a client (RFC 6455, section 5.1).
    #[error("a WebSocket frame has no mask")]
    Unmasked,
    /// A frame with a mask came from a server (RFC 6455, section 5.1).
    #[error("a WebSocket frame has a mask")]
    Masked,
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The reserved bits, 0 to 7: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// The key that the payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload, in bytes: at most 63 bits.
    pub length: u64,
}

impl FrameHead {
    /// The longest head, in bytes.
    pub const MAX_LEN: usize = 14;

    /// Reads a head at the beginning of `bytes`, and says how many bytes it has; `None` if it is not there in full.
    ///
    /// # Errors
    ///
    /// The length is not in its shortest form, or is too long.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
            }
            (126 | 127, _) => return Ok(None),
            (short, rest) => (u64::from(short), rest),
        };
        if length > MAX_LENGTH {
            return Err(FrameError::TooLong);
        }
        if second & 0x7f != length_code(length) {
            return Err(FrameError::NotShortest);
        }
        let (mask, rest) = match (second & 0x80, rest) {
            (0, rest) => (None, rest),
            (_, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            _ => return Ok(None),
        };
        let head = Self {
            fin: first & 0x80 != 0,
            rsv: (first >> 4) & 7,
            opcode: first & 0xf,
            mask,
            length,
        };
        Ok(Some((head, bytes.len() - rest.len())))
    }

    /// The head as it stands on the wire. Bits of `rsv`, `opcode` and `length` beyond theirs are left out.
    #[must_use]
    pub fn encode(&self) -> HeadBytes {
        let length = self.length & MAX_LENGTH;
        let mut head = HeadBytes {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        let code = length_code(length);
        head.push(&[
            u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode & 0xf,
            u8::from(self.mask.is_some()) << 7 | code,
        ]);
        let [.., high, low] = length.to_be_bytes();
        match code {
            126 => head.push(&[high, low]),
            127 => head.push(&length.to_be_bytes()),
            _ => {}
        }
        if let Some(key) = &self.mask {
            head.push(key);
        }
        head
    }

    /// Whether this is a control frame, which may stand between the frames of a message.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }
}

/// What stands in the seven bits for the length.
fn length_code(length: u64) -> u8 {
    match u8::try_from(length) {
        Ok(short @ 0..=125) => short,
        _ if length <= u64::from(u16::MAX) => 126,
        _ => 127,
    }
}

/// A head as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub struct HeadBytes {
    bytes: [u8; FrameHead::MAX_LEN],
    len: u8,
}

impl HeadBytes {
    /// There is room for all that a head can have.
    fn push(&mut self, more: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + more.len()].copy_from_slice(more);
        self.len += more.len() as u8;
    }
}

impl Deref for HeadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Reads heads that come in parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadReader {
    bytes: [u8; FrameHead::MAX_LEN],
    len: u8,
}

impl HeadReader {
    /// Reads the next head on at the beginning of `bytes`. Says how many of them belong to it, and gives it if they complete it.
    ///
    /// # Errors
    ///
    /// As [`FrameHead::parse`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<FrameHead>), FrameError> {
        let held = usize::from(self.len);
        if held == 0
            && let Some((head, len)) = FrameHead::parse(bytes)?
        {
            return Ok((len, Some(head)));
        }
        // A head that is held in part has fewer bytes than the longest.
        let more = bytes.len().min(FrameHead::MAX_LEN - held);
        self.bytes[held..held + more].copy_from_slice(&bytes[..more]);
        match FrameHead::parse(&self.bytes[..held + more])? {
            Some((head, len)) => {
                self.len = 0;
                Ok((len - held, Some(head)))
            }
            None => {
                self.len = (held + more) as u8;
                Ok((more, None))
            }
        }
    }

    /// Whether nothing of a head is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Masks `data`, or takes the mask off (RFC 6455, section 5.3). `at` is where in the payload `data` begins.
pub fn mask(data: &mut [u8], key: [u8; 4], at: u64) {
    let mut key = key;
    key.rotate_left((at % 4) as usize);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};

    use super::*;

    fn length() -> impl Strategy<Value = u64> {
        let borders = vec![
            0,
            1,
            125,
            126,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            MAX_LENGTH - 1,
            MAX_LENGTH,
        ];
        prop_oneof![select(borders), 0..=MAX_LENGTH]
    }

    fn head() -> impl Strategy<Value = FrameHead> {
        (
            any::<bool>(),
            0..8_u8,
            0..16_u8,
            option::of(any::<[u8; 4]>()),
            length(),
        )
            .prop_map(|(fin, rsv, opcode, mask, length)| FrameHead {
                fin,
                rsv,
                opcode,
                mask,
                length,
            })
    }

    proptest! {
        #[test]
        fn a_head_comes_back_however_it_is_cut(head in head(), behind in any::<[u8; 3]>(), cut in 0..17_usize) {
            let bytes = [&head.encode()[..], &behind].concat();
            let len = bytes.len() - behind.len();
            prop_assert_eq!(FrameHead::parse(&bytes), Ok(Some((head, len))));
            for short in 0..len {
                prop_assert_eq!(FrameHead::parse(&bytes[..short]), Ok(None));
            }
            let mut reader = HeadReader::default();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let (taken, found) = reader.read(first).unwrap();
            prop_assert_eq!(found, (first.len() >= len).then_some(head));
            if found.is_none() {
                prop_assert_eq!(taken, first.len());
                prop_assert_eq!(reader.read(second), Ok((len - taken, Some(head))));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn what_is_a_head_is_written_like_that(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(Some((head, len))) = FrameHead::parse(&bytes) {
                prop_assert_eq!(&*head.encode(), &bytes[..len]);
            }
        }

        #[test]
        fn a_mask_comes_off_in_pieces(
            data in proptest::collection::vec(any::<u8>(), 0..100),
            key in any::<[u8; 4]>(),
            cut in 0..100_usize,
        ) {
            let expected: Vec<_> = data.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut masked = data;
            let (first, second) = masked.split_at_mut(cut.min(expected.len()));
            let at = first.len() as u64;
            mask(first, key, 0);
            mask(second, key, at);
            prop_assert_eq!(masked, expected);
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 5.7: "Hello" with a mask, and the head of 64 KiB.
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let (head, len) = FrameHead::parse(&bytes).unwrap().unwrap();
        assert_eq!(
            (head.fin, head.opcode, head.length, len),
            (true, opcode::TEXT, 5, 6)
        );
        let mut payload = bytes[len..].to_vec();
        mask(&mut payload, head.mask.unwrap(), 0);
        assert_eq!(payload, b"Hello");
        let (head, _) = FrameHead::parse(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0])
            .unwrap()
            .unwrap();
        assert_eq!(
            (head.length, head.opcode, head.mask),
            (65_536, opcode::BINARY, None)
        );
    }

    #[test]
    fn lengths_that_no_endpoint_writes() {
        for (bytes, error) in [
            (&[0x82, 126, 0, 125][..], FrameError::NotShortest),
            (
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
                FrameError::NotShortest,
            ),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::TooLong),
        ] {
            assert_eq!(FrameHead::parse(bytes), Err(error));
        }
    }
}
