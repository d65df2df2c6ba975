//! From the core to the wire.

use http::HeaderValue;
use tunnel_core::{
    Direction, End, Payload, Protocol, TunnelMessage,
    admit::is_protocol_name,
    message::{Data, RequestStart, Reset, ResponseStart},
    ws::WsFrame,
};

use super::{
    MAX_DETAIL_BYTES,
    fields::{Block, to_list},
};
use crate::generated::{self as pb, tunnel_message::Payload as Wire};

/// The message as it goes to the wire. `opens` is the direction of the exchanges that this end opens.
#[must_use]
pub fn encode(message: TunnelMessage, opens: Direction) -> pb::TunnelMessage {
    let TunnelMessage {
        id,
        direction,
        protocol,
        payload,
    } = message;
    let of_exchange = |message_type: pb::MessageType, payload| pb::TunnelMessage {
        request_id: id.to_string(),
        direction: wire_direction(direction).into(),
        protocol_type: wire_protocol(protocol).into(),
        message_type: message_type.into(),
        payload: Some(payload),
        ..Default::default()
    };
    match payload {
        Payload::Request(mut start) => {
            let trace_id = std::mem::take(&mut start.trace_id);
            pb::TunnelMessage {
                trace_id,
                ..of_exchange(pb::MessageType::Request, request(protocol, *start))
            }
        }
        Payload::Response(start) => of_exchange(pb::MessageType::Response, response(protocol, *start)),
        Payload::Data(data) => of_exchange(
            pb::MessageType::StreamChunk,
            chunk(protocol, data, direction == opens),
        ),
        Payload::Frame(frame) => of_exchange(
            pb::MessageType::StreamChunk,
            Wire::WsFrame(ws_frame(frame, opens)),
        ),
        Payload::Window(increment) => of_exchange(
            pb::MessageType::Unspecified,
            Wire::WindowUpdate(pb::WindowUpdate { increment }),
        ),
        Payload::Reset(reset) => of_exchange(pb::MessageType::Unspecified, Wire::Reset(wire_reset(reset))),
        Payload::Ping(nonce) => of_lane(Wire::Ping(pb::Ping { nonce })),
        Payload::Pong(nonce) => of_lane(Wire::Pong(pb::Pong { nonce })),
    }
}

fn of_lane(payload: Wire) -> pb::TunnelMessage {
    pb::TunnelMessage {
        protocol_type: pb::ProtocolType::Control.into(),
        payload: Some(payload),
        ..Default::default()
    }
}

fn request(protocol: Protocol, start: RequestStart) -> Wire {
    let RequestStart {
        head,
        data,
        end,
        credit,
        trace_id: _,
    } = start;
    let mut block = Block::for_map(&head.headers, head.path.as_str().len());
    let (end, trailers) = wire_end(end.as_ref());
    let request = pb::HttpRequest {
        method: head.method.as_str().to_owned(),
        scheme: head.scheme.as_str().to_owned(),
        authority: head
            .authority
            .map_or_else(String::new, |authority| authority.as_str().to_owned()),
        path: block.copy(head.path.as_str().as_bytes()),
        headers: to_list(&head.headers, &mut block),
        body: data,
        end,
        trailers,
        credit,
    };
    match protocol {
        Protocol::Http => Wire::HttpRequest(request),
        Protocol::Grpc => Wire::GrpcRequest(request.into()),
        Protocol::WebSocket => Wire::WsRequest(pb::WebSocketRequest {
            upgrade: wire_upgrade(head.upgrade.as_deref()),
            ..request.into()
        }),
    }
}

fn response(protocol: Protocol, start: ResponseStart) -> Wire {
    let ResponseStart { head, data, end } = start;
    let (end, trailers) = wire_end(end.as_ref());
    let response = pb::HttpResponse {
        status: head.status.as_u16().into(),
        headers: to_list(&head.headers, &mut Block::for_map(&head.headers, 0)),
        body: data,
        end,
        trailers,
    };
    match protocol {
        Protocol::Http => Wire::HttpResponse(response),
        Protocol::Grpc => Wire::GrpcResponse(response.into()),
        Protocol::WebSocket => Wire::WsResponse(pb::WebSocketResponse {
            upgrade: wire_upgrade(head.upgrade.as_deref()),
            ..response.into()
        }),
    }
}

fn chunk(protocol: Protocol, data: Data, is_request: bool) -> Wire {
    let Data { data, end } = data;
    let (end, trailers) = wire_end(end.as_ref());
    match protocol {
        Protocol::Grpc => Wire::GrpcStreamChunk(pb::GrpcStreamChunk {
            is_request,
            is_first_chunk: false,
            is_last_chunk: end,
            data,
            trailers,
        }),
        Protocol::Http | Protocol::WebSocket => Wire::HttpChunk(pb::HttpBodyChunk { data, end, trailers }),
    }
}

/// What is not the name of a protocol is not sent. No request that was admitted asks for that; an answer with it is wrong, and is
/// found to be so where it is held against the request.
fn wire_upgrade(protocol: Option<&HeaderValue>) -> String {
    let text = protocol.filter(|protocol| is_protocol_name(protocol.as_bytes()));
    let text = text.and_then(|protocol| protocol.to_str().ok());
    text.unwrap_or_default().to_owned()
}

/// What this end sends goes the way of the exchanges that it opens.
fn ws_frame(frame: WsFrame, opens: Direction) -> pb::WebSocketFrame {
    let WsFrame {
        fin,
        rsv,
        opcode,
        more,
        length,
        data,
    } = frame;
    pb::WebSocketFrame {
        fin,
        opcode: opcode.into(),
        payload: data,
        frame_direction: wire_direction(opens).into(),
        rsv: rsv.into(),
        more,
        length,
    }
}

fn wire_end(end: Option<&End>) -> (bool, Vec<pb::Header>) {
    let trailers = match end {
        Some(End {
            trailers: Some(trailers),
        }) => to_list(trailers, &mut Block::for_map(trailers, 0)),
        _ => Vec::new(),
    };
    (end.is_some(), trailers)
}

fn wire_reset(reset: Reset) -> pb::Reset {
    let mut detail = reset.detail.unwrap_or_default();
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
