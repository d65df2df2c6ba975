//! From the core to the wire.

use bytes::BufMut;
use http::HeaderValue;
use prost::Message;
use tunnel_core::{
    Direction, End, Payload, Protocol, RequestId, TraceId, TunnelMessage,
    admit::is_protocol_name,
    message::{Data, RequestStart, Reset, ResponseStart},
    ws::WsFrame,
};

use super::{
    MAX_DETAIL_BYTES,
    fields::put_list,
    tags::{envelope, grpc_chunk, http_chunk, payload, request, response, ws_frame},
    wire::{put_bytes, put_key, put_number},
};
use crate::generated as pb;

/// Scratch memory that is kept from one message to the next, in bytes.
const KEPT: usize = 16 * 1024;

/// Encodes messages of exchanges, one after the other.
///
/// What stands before the length of a payload needs that length, so everything but body bytes is written here first, and
/// copied once; body bytes are copied only to where they go.
#[derive(Debug, Default)]
pub struct Writer {
    scratch: Vec<u8>,
}

/// One encoded message, in the four parts that make it.
#[derive(Debug)]
pub struct Parts<'a> {
    envelope: &'a [u8],
    front: &'a [u8],
    body: &'a [u8],
    back: &'a [u8],
}

impl Parts<'_> {
    /// The bytes of the message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.envelope.len() + self.front.len() + self.body.len() + self.back.len()
    }

    /// Whether there are none; there always are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the message.
    pub fn put(&self, out: &mut impl BufMut) {
        out.put_slice(self.envelope);
        out.put_slice(self.front);
        if !self.body.is_empty() {
            out.put_slice(self.body);
        }
        if !self.back.is_empty() {
            out.put_slice(self.back);
        }
    }
}

impl Writer {
    /// The message as it goes to the wire. `opens` is the direction of the exchanges that this end opens.
    #[must_use]
    pub fn encode<'a>(&'a mut self, message: &'a TunnelMessage, opens: Direction) -> Parts<'a> {
        if self.scratch.capacity() > KEPT {
            self.scratch = Vec::new();
        }
        let out = &mut self.scratch;
        out.clear();
        let TunnelMessage {
            id,
            direction,
            protocol,
            ref payload,
        } = *message;
        let is_of_lane = matches!(payload, Payload::Ping(_) | Payload::Pong(_));
        let labels = (!is_of_lane).then_some((id, direction, protocol));
        let is_request = direction == opens;
        let Written {
            tag,
            kind,
            body,
            front,
            trace_id,
        } = put_payload(out, payload, protocol, (opens, is_request));
        let len = out.len() + body.len();
        let trace_id = trace_id.map_or(&[][..], |id| id.as_bytes());
        put_bytes(out, envelope::TRACE_ID, trace_id);
        let back = out.len();
        match labels {
            Some(labels) => put_labels(out, labels, kind),
            None => put_number(out, envelope::PROTOCOL_TYPE, pb::ProtocolType::Control as u32),
        }
        put_key(out, tag, len);
        Parts {
            envelope: &out[back..],
            front: &out[..front],
            body,
            back: &out[front..back],
        }
    }
}

/// A payload that was written, but for its body bytes.
struct Written<'a> {
    tag: u32,
    kind: pb::MessageType,
    body: &'a [u8],
    /// Where the body bytes belong.
    front: usize,
    trace_id: Option<&'a TraceId>,
}

impl<'a> Written<'a> {
    fn new(tag: u32, kind: pb::MessageType, body: &'a [u8], front: usize) -> Self {
        Self {
            tag,
            kind,
            body,
            front,
            trace_id: None,
        }
    }

    /// A payload without body bytes.
    fn small(out: &mut Vec<u8>, tag: u32, message: &impl Message) -> Self {
        // A vector has room for anything.
        let _ = message.encode(out);
        Self::new(tag, pb::MessageType::Unspecified, &[], out.len())
    }
}

fn put_labels(
    out: &mut Vec<u8>,
    (id, direction, protocol): (RequestId, Direction, Protocol),
    kind: pb::MessageType,
) {
    put_bytes(
        out,
        envelope::REQUEST_ID,
        id.text(&mut [0; RequestId::TEXT_LEN]).as_bytes(),
    );
    put_number(out, envelope::DIRECTION, wire_direction(direction) as u32);
    put_number(out, envelope::PROTOCOL_TYPE, wire_protocol(protocol) as u32);
    put_number(out, envelope::MESSAGE_TYPE, kind as u32);
}

fn put_payload<'a>(
    out: &mut Vec<u8>,
    payload: &'a Payload,
    protocol: Protocol,
    (opens, is_request): (Direction, bool),
) -> Written<'a> {
    match payload {
        Payload::Request(start) => put_request(out, protocol, start),
        Payload::Response(start) => put_response(out, protocol, start),
        Payload::Data(data) => put_data(out, protocol, data, is_request),
        Payload::Frame(frame) => put_frame(out, frame, opens),
        Payload::Window(increment) => {
            let increment = *increment;
            Written::small(out, payload::WINDOW_UPDATE, &pb::WindowUpdate { increment })
        }
        Payload::Reset(reset) => Written::small(out, payload::RESET, &wire_reset(reset)),
        Payload::Ping(nonce) => Written::small(out, payload::PING, &pb::Ping { nonce: *nonce }),
        Payload::Pong(nonce) => Written::small(out, payload::PONG, &pb::Pong { nonce: *nonce }),
    }
}

fn put_request<'a>(out: &mut Vec<u8>, protocol: Protocol, start: &'a RequestStart) -> Written<'a> {
    let RequestStart {
        head,
        data,
        end,
        credit,
        trace_id,
    } = start;
    put_bytes(out, request::METHOD, head.method.as_str().as_bytes());
    put_bytes(out, request::SCHEME, head.scheme.as_str().as_bytes());
    let authority = head.authority.as_ref().map_or("", |authority| authority.as_str());
    put_bytes(out, request::AUTHORITY, authority.as_bytes());
    put_bytes(out, request::PATH, head.path.as_str().as_bytes());
    put_list(out, request::HEADERS, &head.headers);
    let front = put_body_key(out, request::BODY, data);
    put_end(out, (request::END, request::TRAILERS), end.as_ref());
    put_number(out, request::CREDIT, *credit);
    let tag = match protocol {
        Protocol::Http => payload::HTTP_REQUEST,
        Protocol::Grpc => payload::GRPC_REQUEST,
        Protocol::WebSocket => {
            put_upgrade(out, request::UPGRADE, head.upgrade.as_deref());
            payload::WS_REQUEST
        }
    };
    Written {
        trace_id: trace_id.as_ref(),
        ..Written::new(tag, pb::MessageType::Request, data, front)
    }
}

fn put_response<'a>(out: &mut Vec<u8>, protocol: Protocol, start: &'a ResponseStart) -> Written<'a> {
    let ResponseStart { head, data, end } = start;
    put_number(out, response::STATUS, head.status.as_u16());
    put_list(out, response::HEADERS, &head.headers);
    let front = put_body_key(out, response::BODY, data);
    put_end(out, (response::END, response::TRAILERS), end.as_ref());
    let tag = match protocol {
        Protocol::Http => payload::HTTP_RESPONSE,
        Protocol::Grpc => payload::GRPC_RESPONSE,
        Protocol::WebSocket => {
            put_upgrade(out, response::UPGRADE, head.upgrade.as_deref());
            payload::WS_RESPONSE
        }
    };
    Written::new(tag, pb::MessageType::Response, data, front)
}

fn put_data<'a>(out: &mut Vec<u8>, protocol: Protocol, data: &'a Data, is_request: bool) -> Written<'a> {
    let Data { data, end } = data;
    let end = end.as_ref();
    let (tag, front) = match protocol {
        Protocol::Grpc => {
            put_number(out, grpc_chunk::IS_REQUEST, is_request);
            put_number(out, grpc_chunk::IS_LAST, end.is_some());
            let front = put_body_key(out, grpc_chunk::DATA, data);
            put_trailers(out, grpc_chunk::TRAILERS, end);
            (payload::GRPC_STREAM_CHUNK, front)
        }
        Protocol::Http | Protocol::WebSocket => {
            let front = put_body_key(out, http_chunk::DATA, data);
            put_end(out, (http_chunk::END, http_chunk::TRAILERS), end);
            (payload::HTTP_CHUNK, front)
        }
    };
    Written::new(tag, pb::MessageType::StreamChunk, data, front)
}

/// What this end sends goes the way of the exchanges that it opens.
fn put_frame<'a>(out: &mut Vec<u8>, frame: &'a WsFrame, opens: Direction) -> Written<'a> {
    let WsFrame {
        fin,
        rsv,
        opcode,
        more,
        length,
        data,
    } = frame;
    put_number(out, ws_frame::FIN, *fin);
    put_number(out, ws_frame::OPCODE, *opcode);
    let front = put_body_key(out, ws_frame::PAYLOAD, data);
    put_number(out, ws_frame::FRAME_DIRECTION, wire_direction(opens) as u32);
    put_number(out, ws_frame::RSV, *rsv);
    put_number(out, ws_frame::MORE, *more);
    put_number(out, ws_frame::LENGTH, *length);
    Written::new(payload::WS_FRAME, pb::MessageType::StreamChunk, data, front)
}

/// What stands before body bytes; says where those belong.
fn put_body_key(out: &mut Vec<u8>, tag: u32, body: &[u8]) -> usize {
    if !body.is_empty() {
        put_key(out, tag, body.len());
    }
    out.len()
}

fn put_end(out: &mut Vec<u8>, (end_tag, trailers_tag): (u32, u32), end: Option<&End>) {
    put_number(out, end_tag, end.is_some());
    put_trailers(out, trailers_tag, end);
}

fn put_trailers(out: &mut Vec<u8>, tag: u32, end: Option<&End>) {
    if let Some(trailers) = end.and_then(|end| end.trailers.as_deref()) {
        put_list(out, tag, trailers);
    }
}

/// What is not the name of a protocol is not sent. No request that was admitted asks for that; an answer with it is wrong, and is
/// found to be so where it is held against the request.
fn put_upgrade(out: &mut Vec<u8>, tag: u32, protocol: Option<&HeaderValue>) {
    let protocol = protocol.map_or(&[][..], HeaderValue::as_bytes);
    if is_protocol_name(protocol) {
        put_bytes(out, tag, protocol);
    }
}

fn wire_reset(reset: &Reset) -> pb::Reset {
    let mut detail = reset.detail.clone().unwrap_or_default();
    shorten(&mut detail);
    pb::Reset {
        reason: reset.reason.code(),
        detail,
    }
}

/// Cuts a detail to what is sent and kept, between two characters.
pub(super) fn shorten(detail: &mut String) {
    let mut end = detail.len().min(MAX_DETAIL_BYTES);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    detail.truncate(end);
}

const fn wire_direction(direction: Direction) -> pb::Direction {
    match direction {
        Direction::ClientToServer => pb::Direction::ClientToServer,
        Direction::ServerToClient => pb::Direction::ServerToClient,
    }
}

const fn wire_protocol(protocol: Protocol) -> pb::ProtocolType {
    match protocol {
        Protocol::Http => pb::ProtocolType::Http,
        Protocol::Grpc => pb::ProtocolType::Grpc,
        Protocol::WebSocket => pb::ProtocolType::Websocket,
    }
}
