//! What a browser's library writes and reads, by hand (`PROTOCOL-WEB.md` of the gRPC project).

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use prost::Message;

const SERVICE: &str = "/tunnel.interop.v1.TestService";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Text,
}

impl Form {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        }
    }

    /// A call of the test service, with these fields besides, each with its line's end.
    pub(crate) fn request(self, method: &str, message: &impl Message, fields: &str) -> Vec<u8> {
        self.request_to(&format!("{SERVICE}/{method}"), &framed(message), fields)
    }

    pub(crate) fn request_to(self, path: &str, frame: &[u8], fields: &str) -> Vec<u8> {
        match self {
            Self::Binary => self.request_with(path, frame, fields),
            Self::Text => self.request_with(path, encode(frame).as_bytes(), fields),
        }
    }

    /// A call with this body, as it is.
    pub(crate) fn request_with(self, path: &str, body: &[u8], fields: &str) -> Vec<u8> {
        let (content_type, length) = (self.content_type(), body.len());
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\naccept: {content_type}\r\n\
             x-grpc-web: 1\r\ncontent-length: {length}\r\n{fields}\r\n"
        )
        .into_bytes();
        request.extend(body);
        request
    }

    /// The same for a client that reads the response piece by piece; binary only.
    pub(crate) fn hyper_request(self, method: &str, message: &impl Message) -> Request<Body> {
        assert_eq!(self, Self::Binary);
        Request::post(format!("{SERVICE}/{method}"))
            .header("content-type", self.content_type())
            .header("x-grpc-web", "1")
            .body(Body::from(framed(message)))
            .expect("a request")
    }
}

/// A message in its frame.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("a small message");
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(bytes);
    frame
}

/// What stands in the body of a response.
pub(crate) struct Frames {
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) trailers: HeaderMap,
}

impl Frames {
    /// Asserts that it is nothing but messages, and trailers after the last.
    pub(crate) fn of(form: Form, body: &[u8]) -> Self {
        let whole = match form {
            Form::Binary => body.to_vec(),
            Form::Text => decode(body),
        };
        let mut messages = Vec::new();
        let mut rest = &whole[..];
        loop {
            let (head, after) = rest.split_first_chunk::<5>().expect("trailers end the body");
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let (content, after) = after.split_at(length as usize);
            rest = after;
            if head[0] == 0x80 {
                assert!(rest.is_empty(), "nothing stands after the trailers");
                let trailers = fields(content);
                return Self { messages, trailers };
            }
            assert_eq!(head[0], 0, "a message that is not compressed");
            messages.push(content.to_vec());
        }
    }
}

fn fields(block: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(block).expect("fields are ASCII");
    let lines = text.split_terminator("\r\n").map(|line| {
        let (name, value) = line.split_once(':').expect("a field");
        assert_eq!(name, name.to_ascii_lowercase());
        let name = HeaderName::try_from(name).expect("a name");
        (name, HeaderValue::try_from(value.trim()).expect("a value"))
    });
    lines.collect()
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let bits = piece
            .iter()
            .chain([0; 3].iter())
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            if place <= piece.len() {
                text.push(char::from(ALPHABET[bits >> (18 - 6 * place) & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// Takes pieces with padding of their own, one after the other.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (quanta, rest) = text.as_chunks::<4>();
    assert!(rest.is_empty(), "base64 comes in fours");
    for quantum in quanta {
        let digits = quantum.iter().take_while(|digit| **digit != b'=');
        let values: Vec<_> = digits
            .map(|digit| {
                let value = ALPHABET.iter().position(|known| known == digit);
                value.expect("a digit of base64")
            })
            .collect();
        let bits = values
            .iter()
            .chain([0; 4].iter())
            .take(4)
            .fold(0, |bits, value| bits << 6 | value);
        let whole = bits.to_be_bytes();
        let three = &whole[whole.len() - 3..];
        bytes.extend(&three[..values.len() - 1]);
    }
    bytes
}
