//! Frames of HTTP/2 (RFC 9113, section 4.1), right and wrong ones.

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What HTTP/2 calls a peer that asks for too much.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// `POST http://a/`, in HPACK without the table.
pub(crate) const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len())
        .expect("a short payload")
        .to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The preface of a client, with its SETTINGS.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// The head of a request whose body is to come.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, POST)
}

/// The error code of the GOAWAY that came, if one came.
pub(crate) fn goaway(mut bytes: &[u8]) -> Option<u32> {
    while bytes.len() >= 9 {
        let len = 9 + usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
        let frame = bytes.get(..len)?;
        if frame[3] == GOAWAY {
            return Some(u32::from_be_bytes(frame[13..17].try_into().expect("four bytes")));
        }
        bytes = &bytes[len..];
    }
    None
}

/// The streams whose frames of this kind came.
pub(crate) fn streams(mut bytes: &[u8], kind: u8) -> Vec<u32> {
    let mut streams = Vec::new();
    while bytes.len() >= 9 {
        let len = 9 + usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
        if bytes[3] == kind {
            streams.push(u32::from_be_bytes(bytes[5..9].try_into().expect("four bytes")));
        }
        bytes = bytes.get(len..).unwrap_or_default();
    }
    streams
}
