//! What goes to the wire comes back, and what breaks the rules is told.

mod generated;
mod malformed;
mod round_trip;
mod size;

use prost::Message as _;
use tunnel_core::{Direction, RequestId, TunnelMessage};

use super::{DecodeError, Encoded, Limits, Writer, decode};
use crate::generated::{self as pb, tunnel_message::Payload as Wire};

fn id() -> RequestId {
    RequestId::from_parts(1_700_000_000_000, [7; 10])
}

/// A message of an exchange of ours with this payload, and nothing else that is not needed.
fn wire(payload: Wire) -> pb::TunnelMessage {
    pb::TunnelMessage {
        request_id: id().to_string(),
        payload: Some(payload),
        ..Default::default()
    }
}

fn request() -> pb::HttpRequest {
    pb::HttpRequest {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        authority: "example.com".to_owned(),
        path: "/a?b=c".into(),
        end: true,
        ..Default::default()
    }
}

fn header(name: &str, value: &[u8]) -> pb::Header {
    pb::Header {
        name: name.to_owned(),
        value: value.to_vec().into(),
    }
}

/// Through the bytes of the wire, and not only through the types.
fn read(message: &pb::TunnelMessage) -> Result<Option<TunnelMessage>, DecodeError> {
    read_with(message, &Limits::MAX)
}

fn read_with(message: &pb::TunnelMessage, limits: &Limits) -> Result<Option<TunnelMessage>, DecodeError> {
    read_bytes(&message.encode_to_vec(), limits)
}

fn read_bytes(mut bytes: &[u8], limits: &Limits) -> Result<Option<TunnelMessage>, DecodeError> {
    decode(&Encoded::take(&mut bytes), limits)
}

/// The bytes that go to the wire.
fn written(message: &TunnelMessage, opens: Direction) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::default();
    let parts = writer.encode(message, opens);
    parts.put(&mut bytes);
    assert_eq!(bytes.len(), parts.len());
    bytes
}

/// What others read of it.
fn encode(message: &TunnelMessage, opens: Direction) -> pb::TunnelMessage {
    pb::TunnelMessage::decode(&*written(message, opens)).expect("a valid message")
}
