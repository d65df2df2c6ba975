//! From the wire to the core.

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    uri::{Authority, PathAndQuery, Scheme},
};
use tunnel_core::{
    Direction, End, Payload, Protocol, RequestHead, RequestId, ResetReason, ResponseHead, TunnelMessage,
    admit::is_protocol_name,
    message::{Data, RequestStart, Reset, ResponseStart},
    ws::WsFrame,
};

use super::{
    DecodeError, Fault, Limits,
    encode::shorten,
    fields::{Block, check, to_map},
};
use crate::generated::{self as pb, tunnel_message::Payload as Wire};

/// Shorter body pieces are copied out of the receive buffer, because a slice keeps all of that buffer alive (about 128
/// KiB at most) while credit counts only the slice. From here on it is at most eight times what was counted.
const COPY_BELOW: usize = 16 * 1024;

/// What a message of a Proxy stream says to the core. `None` for a payload that is unknown, or that belongs to the set-up
/// of a stream: the caller looks for those first.
///
/// # Errors
///
/// If the message breaks a rule; the error says whether that costs the exchange or the session.
pub fn decode(message: pb::TunnelMessage, limits: &Limits) -> Result<Option<TunnelMessage>, DecodeError> {
    match message.payload {
        None
        | Some(
            Wire::StreamOpen(_)
            | Wire::StreamOpenResponse(_)
            | Wire::ConfigSync(_)
            | Wire::ConfigSyncResponse(_)
            | Wire::ErrorMessage(_)
            | Wire::Drain(_)
            | Wire::Credentials(_),
        ) => Ok(None),
        Some(Wire::Ping(pb::Ping { nonce })) => of_lane(&message.request_id, Payload::Ping(nonce)),
        Some(Wire::Pong(pb::Pong { nonce })) => of_lane(&message.request_id, Payload::Pong(nonce)),
        Some(payload) => {
            let id = exchange_id(&message.request_id)?;
            let labels = (message.direction, message.protocol_type);
            of_exchange(id, labels, message.trace_id, payload, limits)
                .map(Some)
                .map_err(|fault| fault.of(id))
        }
    }
}

const fn session_error(what: &'static str) -> DecodeError {
    DecodeError {
        id: None,
        reason: ResetReason::Protocol,
        what,
    }
}

fn exchange_id(text: &str) -> Result<RequestId, DecodeError> {
    match text.parse::<RequestId>() {
        Ok(id) if !id.is_nil() => Ok(id),
        _ => Err(session_error(
            "the request_id of a message of an exchange is no UUID",
        )),
    }
}

fn of_lane(request_id: &str, payload: Payload) -> Result<Option<TunnelMessage>, DecodeError> {
    if !request_id.is_empty() {
        return Err(session_error("a ping or pong has a request_id"));
    }
    Ok(Some(TunnelMessage {
        id: RequestId::NIL,
        direction: Direction::ClientToServer,
        protocol: Protocol::Http,
        payload,
    }))
}

fn of_exchange(
    id: RequestId,
    (direction, protocol_type): (i32, i32),
    trace_id: String,
    payload: Wire,
    limits: &Limits,
) -> Result<TunnelMessage, Fault> {
    let direction = core_direction(direction)?;
    let stated = core_protocol(protocol_type)?;
    let protocol = implied(&payload, stated);
    if stated.is_some_and(|stated| stated != protocol) {
        return Err(Fault::protocol("protocol_type is not that of the payload"));
    }
    let payload = match payload {
        Wire::HttpRequest(start) => request(start, None, trace_id, limits)?,
        Wire::GrpcRequest(start) => request(start.into(), None, trace_id, limits)?,
        Wire::WsRequest(mut start) => {
            let asked = upgrade(std::mem::take(&mut start.upgrade))?;
            let asked = asked.unwrap_or(HeaderValue::from_static("websocket"));
            request(start.into(), Some(asked), trace_id, limits)?
        }
        Wire::HttpResponse(start) => response(start, protocol, None, limits)?,
        Wire::GrpcResponse(start) => response(start.into(), protocol, None, limits)?,
        Wire::WsResponse(mut start) => {
            let done = upgrade(std::mem::take(&mut start.upgrade))?;
            response(start.into(), protocol, done, limits)?
        }
        Wire::HttpChunk(chunk) => piece(chunk.data, chunk.end, &chunk.trailers, limits)?,
        Wire::GrpcStreamChunk(chunk) => piece(chunk.data, chunk.is_last_chunk, &chunk.trailers, limits)?,
        Wire::WindowUpdate(pb::WindowUpdate { increment: 0 }) => {
            return Err(Fault::protocol("a window_update adds nothing"));
        }
        Wire::WindowUpdate(pb::WindowUpdate { increment }) => Payload::Window(increment),
        Wire::Reset(reset) => core_reset(reset),
        // Whether there may be frames is for the exchange to say.
        Wire::WsFrame(piece) => ws_frame(piece, limits)?,
        // `decode` hands over no other payload.
        _ => return Err(Fault::protocol("the payload belongs to no exchange")),
    };
    Ok(TunnelMessage {
        id,
        direction,
        protocol,
        payload,
    })
}

const fn core_direction(number: i32) -> Result<Direction, Fault> {
    match number {
        0 => Ok(Direction::ClientToServer),
        1 => Ok(Direction::ServerToClient),
        _ => Err(Fault::protocol("direction has an unknown value")),
    }
}

fn core_protocol(number: i32) -> Result<Option<Protocol>, Fault> {
    match pb::ProtocolType::try_from(number) {
        Ok(pb::ProtocolType::Unspecified) => Ok(None),
        Ok(pb::ProtocolType::Http) => Ok(Some(Protocol::Http)),
        Ok(pb::ProtocolType::Grpc) => Ok(Some(Protocol::Grpc)),
        Ok(pb::ProtocolType::Websocket) => Ok(Some(Protocol::WebSocket)),
        Ok(pb::ProtocolType::Control) => Err(Fault::protocol("a message of an exchange says CONTROL")),
        Err(_) => Err(Fault::protocol("protocol_type has an unknown value")),
    }
}

/// The protocol that goes with a payload; where several do, the one that the message states.
fn implied(payload: &Wire, stated: Option<Protocol>) -> Protocol {
    match payload {
        Wire::GrpcRequest(_) | Wire::GrpcResponse(_) | Wire::GrpcStreamChunk(_) => Protocol::Grpc,
        Wire::WsRequest(_) | Wire::WsResponse(_) | Wire::WsFrame(_) => Protocol::WebSocket,
        Wire::HttpChunk(_) if stated == Some(Protocol::WebSocket) => Protocol::WebSocket,
        Wire::WindowUpdate(_) | Wire::Reset(_) => stated.unwrap_or(Protocol::Http),
        _ => Protocol::Http,
    }
}

fn request(
    start: pb::HttpRequest,
    upgrade: Option<HeaderValue>,
    trace_id: String,
    limits: &Limits,
) -> Result<Payload, Fault> {
    let target = start.method.len() + start.scheme.len() + start.authority.len() + start.path.len();
    check(&start.headers, target, limits)?;
    let mut block = Block::for_list(&start.headers, start.path.len());
    let head = RequestHead {
        upgrade: upgrade.map(Box::new),
        method: Method::from_bytes(start.method.as_bytes())
            .map_err(|_| Fault::protocol("the method is no token"))?,
        scheme: scheme(&start.scheme)?,
        authority: authority(start.authority)?,
        path: path(&block.copy(&start.path))?,
        headers: to_map(&start.headers, &mut block)?,
    };
    Ok(Payload::Request(Box::new(RequestStart {
        head,
        data: body(start.body, limits)?,
        end: end(start.end, &start.trailers, limits)?,
        credit: start.credit,
        trace_id: if is_trace_id(&trace_id) {
            trace_id
        } else {
            String::new()
        },
    })))
}

/// RFC 3986, section 3.1. `http` would take an empty scheme, and one that begins with a digit.
fn scheme(text: &str) -> Result<Scheme, Fault> {
    const INVALID: Fault = Fault::protocol("the scheme is not valid");
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(INVALID);
    }
    text.parse().map_err(|_| INVALID)
}

fn authority(text: String) -> Result<Option<Authority>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.contains('@') {
        return Err(Fault::protocol("the authority has user information"));
    }
    Authority::try_from(text)
        .map(Some)
        .map_err(|_| Fault::protocol("the authority is not valid"))
}

/// Absolute, or `*`. What `http` would not keep byte for byte, such as a fragment, is not valid.
fn path(bytes: &Bytes) -> Result<PathAndQuery, Fault> {
    const INVALID: Fault = Fault::protocol("the path is not valid");
    if !bytes.starts_with(b"/") && **bytes != *b"*" {
        return Err(INVALID);
    }
    let path = PathAndQuery::from_maybe_shared(bytes.clone()).map_err(|_| INVALID)?;
    if path.as_str().as_bytes() == &**bytes {
        Ok(path)
    } else {
        Err(INVALID)
    }
}

/// The `trace-id` of a `traceparent`. Another text is dropped, because it serves nothing but a log.
fn is_trace_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What the head says that it upgrades to counts only with a 101.
fn response(
    start: pb::HttpResponse,
    protocol: Protocol,
    upgrade: Option<HeaderValue>,
    limits: &Limits,
) -> Result<Payload, Fault> {
    check(&start.headers, 0, limits)?;
    let status = status(start.status, protocol)?;
    let upgrade = upgrade.filter(|_| status == StatusCode::SWITCHING_PROTOCOLS);
    let head = ResponseHead {
        upgrade: upgrade.map(Box::new),
        status,
        headers: to_map(&start.headers, &mut Block::for_list(&start.headers, 0))?,
    };
    Ok(Payload::Response(Box::new(ResponseStart {
        head,
        data: body(start.body, limits)?,
        end: end(start.end, &start.trailers, limits)?,
    })))
}

/// The protocol that a head names, if it does.
fn upgrade(text: String) -> Result<Option<HeaderValue>, Fault> {
    const INVALID: Fault = Fault::protocol("upgrade is not the name of a protocol");
    if text.is_empty() {
        return Ok(None);
    }
    if !is_protocol_name(text.as_bytes()) {
        return Err(INVALID);
    }
    HeaderValue::try_from(text).map(Some).map_err(|_| INVALID)
}

fn status(number: u32, protocol: Protocol) -> Result<StatusCode, Fault> {
    let status = u16::try_from(number)
        .ok()
        .and_then(|number| StatusCode::from_u16(number).ok());
    match status {
        Some(StatusCode::SWITCHING_PROTOCOLS) if protocol == Protocol::WebSocket => {
            Ok(StatusCode::SWITCHING_PROTOCOLS)
        }
        Some(status) if !status.is_informational() => Ok(status),
        Some(_) => Err(Fault::protocol("an informational status cannot be the answer")),
        None => Err(Fault::protocol("the status is not valid")),
    }
}

fn piece(data: Bytes, last: bool, trailers: &[pb::Header], limits: &Limits) -> Result<Payload, Fault> {
    if data.is_empty() && !last {
        return Err(Fault::protocol("a piece of a body is empty and not the last"));
    }
    Ok(Payload::Data(Data {
        data: body(data, limits)?,
        end: end(last, trailers, limits)?,
    }))
}

fn ws_frame(piece: pb::WebSocketFrame, limits: &Limits) -> Result<Payload, Fault> {
    core_direction(piece.frame_direction)?;
    let bits = |number: u32, bits: u32| u8::try_from(number).ok().filter(|number| *number < 1 << bits);
    Ok(Payload::Frame(WsFrame {
        fin: piece.fin,
        rsv: bits(piece.rsv, 3).ok_or(Fault::protocol("rsv has more than three bits"))?,
        opcode: bits(piece.opcode, 4).ok_or(Fault::protocol("opcode has more than four bits"))?,
        more: piece.more,
        length: piece.length,
        data: body(piece.payload, limits)?,
    }))
}

fn body(data: Bytes, limits: &Limits) -> Result<Bytes, Fault> {
    if data.len() > limits.chunk {
        return Err(Fault::protocol(
            "a message has more body bytes than the settings allow",
        ));
    }
    Ok(if data.len() < COPY_BELOW {
        Bytes::copy_from_slice(&data)
    } else {
        data
    })
}

fn end(last: bool, trailers: &[pb::Header], limits: &Limits) -> Result<Option<End>, Fault> {
    match (last, trailers) {
        (false, []) => Ok(None),
        (false, _) => Err(Fault::protocol("trailers came before the end")),
        (true, []) => Ok(Some(End::default())),
        (true, trailers) => {
            check(trailers, 0, limits)?;
            let trailers = to_map(trailers, &mut Block::for_list(trailers, 0))?;
            Ok(Some(End {
                trailers: Some(trailers),
            }))
        }
    }
}

/// The detail may end in a log and in a response, so control characters become spaces.
fn core_reset(pb::Reset { reason, mut detail }: pb::Reset) -> Payload {
    shorten(&mut detail);
    if detail.contains(char::is_control) {
        detail = detail.replace(char::is_control, " ");
    }
    Payload::Reset(Reset {
        reason: ResetReason::from_code(reason),
        detail: (!detail.is_empty()).then_some(detail),
    })
}
