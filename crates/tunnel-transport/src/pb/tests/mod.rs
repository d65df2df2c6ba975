//! What goes to the wire comes back, and what breaks the rules is told.

mod malformed;
mod round_trip;
mod size;

use prost::Message as _;
use tunnel_core::{RequestId, TunnelMessage};

use super::{DecodeError, Limits, decode};
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
    let bytes = bytes::Bytes::from(message.encode_to_vec());
    decode(
        pb::TunnelMessage::decode(bytes).expect("encoded just now"),
        &Limits::MAX,
    )
}
