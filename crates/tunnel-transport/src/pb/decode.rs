//! From the wire to the core.

use prost::Message as _;
use tunnel_core::{Direction, Payload, Protocol, RequestId, ResetReason, TunnelMessage, message::Reset};

use super::{
    DecodeError, Fault, Limits,
    encode::shorten,
    heads,
    tags::{envelope, payload},
    wire::{Encoded, Fields, Malformed},
};
use crate::generated as pb;

/// What a message of a Proxy stream says to the core. `None` for a payload that is unknown, or that belongs to the set-up
/// of a stream: the caller looks for those first.
///
/// # Errors
///
/// If the message breaks a rule; the error says whether that costs the exchange or the session.
pub fn decode(message: &Encoded, limits: &Limits) -> Result<Option<TunnelMessage>, DecodeError> {
    let envelope = match Envelope::read(message.bytes()) {
        Ok(Some(envelope)) => envelope,
        Ok(None) => return decode(&merged(message)?, limits),
        Err(Malformed) => return Err(session_error(MALFORMED)),
    };
    match envelope.payload {
        None
        | Some((payload::STREAM_OPEN..=payload::ERROR_MESSAGE | payload::DRAIN | payload::CREDENTIALS, _)) => {
            Ok(None)
        }
        Some((payload::PING, ping)) => {
            let ping = pb::Ping::decode(ping).map_err(|_| session_error(MALFORMED))?;
            of_lane(&envelope, Payload::Ping(ping.nonce))
        }
        Some((payload::PONG, pong)) => {
            let pong = pb::Pong::decode(pong).map_err(|_| session_error(MALFORMED))?;
            of_lane(&envelope, Payload::Pong(pong.nonce))
        }
        Some((tag, content)) => {
            let id = exchange_id(envelope.request_id)?;
            of_exchange(id, &envelope, (tag, content), message, limits)
                .map(Some)
                .map_err(|fault| DecodeError {
                    opens: opening(tag, envelope.direction),
                    ..fault.of(id)
                })
        }
    }
}

const MALFORMED: &str = "a message is no protobuf, or not that of tunnel.proto";

const fn session_error(what: &'static str) -> DecodeError {
    DecodeError {
        id: None,
        opens: None,
        reason: ResetReason::Protocol,
        what,
    }
}

/// The fields of a `TunnelMessage`.
#[derive(Default)]
struct Envelope<'a> {
    request_id: &'a [u8],
    direction: i32,
    protocol_type: i32,
    trace_id: &'a [u8],
    payload: Option<(u32, &'a [u8])>,
}

impl<'a> Envelope<'a> {
    /// `None` for a message with more than one payload.
    fn read(message: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut envelope = Self::default();
        let mut fields = Fields(message);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                envelope::CLIENT_ID => utf8(value.bytes()?)?,
                envelope::REQUEST_ID => envelope.request_id = value.bytes()?,
                envelope::DIRECTION => envelope.direction = value.i32()?,
                envelope::PROTOCOL_TYPE => envelope.protocol_type = value.i32()?,
                envelope::MESSAGE_TYPE => drop(value.i32()?),
                envelope::TRACE_ID => envelope.trace_id = value.bytes()?,
                payload::HTTP_REQUEST..=payload::HTTP_CHUNK
                | payload::STREAM_OPEN..=payload::DRAIN
                | payload::CREDENTIALS => {
                    let before = envelope.payload.replace((tag, value.bytes()?));
                    if before.is_some() {
                        return Ok(None);
                    }
                }
                _ => {}
            }
        }
        Ok(Some(envelope))
    }
}

/// The fields of text that are not read must be text nevertheless.
fn utf8(text: &[u8]) -> Result<(), Malformed> {
    str::from_utf8(text).map(drop).map_err(|_| Malformed)
}

/// The same message with one payload. Nobody sends two, but what they come to is defined, and prost knows it.
#[cold]
fn merged(message: &Encoded) -> Result<Encoded, DecodeError> {
    let message = pb::TunnelMessage::decode(message.bytes().clone());
    let message = message.map_err(|_| session_error(MALFORMED))?;
    Ok(Encoded::take(&mut &*message.encode_to_vec()))
}

fn exchange_id(text: &[u8]) -> Result<RequestId, DecodeError> {
    match RequestId::from_text(text) {
        Ok(id) if !id.is_nil() => Ok(id),
        _ => Err(session_error(
            "the request_id of a message of an exchange is no UUID",
        )),
    }
}

fn of_lane(envelope: &Envelope<'_>, payload: Payload) -> Result<Option<TunnelMessage>, DecodeError> {
    if !envelope.request_id.is_empty() {
        return Err(session_error("a ping or pong has a request_id"));
    }
    Ok(Some(TunnelMessage {
        id: RequestId::NIL,
        direction: Direction::ClientToServer,
        protocol: Protocol::Http,
        payload,
    }))
}

/// The labels of a message that opens an exchange.
const fn opening(tag: u32, direction: i32) -> Option<(Direction, Protocol)> {
    let protocol = match tag {
        payload::HTTP_REQUEST => Protocol::Http,
        payload::GRPC_REQUEST => Protocol::Grpc,
        payload::WS_REQUEST => Protocol::WebSocket,
        _ => return None,
    };
    match direction {
        0 => Some((Direction::ClientToServer, protocol)),
        _ => Some((Direction::ServerToClient, protocol)),
    }
}

fn of_exchange(
    id: RequestId,
    envelope: &Envelope<'_>,
    (tag, content): (u32, &[u8]),
    message: &Encoded,
    limits: &Limits,
) -> Result<TunnelMessage, Fault> {
    let direction = core_direction(envelope.direction)?;
    let stated = core_protocol(envelope.protocol_type)?;
    let protocol = implied(tag, stated);
    if stated.is_some_and(|stated| stated != protocol) {
        return Err(Fault::protocol("protocol_type is not that of the payload"));
    }
    let payload = match tag {
        payload::HTTP_REQUEST | payload::GRPC_REQUEST | payload::WS_REQUEST => {
            let trace_id = heads::trace_id(envelope.trace_id)?;
            heads::request(content, message, protocol, trace_id, limits)?
        }
        payload::HTTP_RESPONSE | payload::GRPC_RESPONSE | payload::WS_RESPONSE => {
            heads::response(content, message, protocol, limits)?
        }
        payload::HTTP_CHUNK => heads::http_chunk(content, message, limits)?,
        payload::GRPC_STREAM_CHUNK => heads::grpc_chunk(content, message, limits)?,
        // Whether there may be frames is for the exchange to say.
        payload::WS_FRAME => heads::ws_frame(content, message, limits)?,
        payload::WINDOW_UPDATE => match pb::WindowUpdate::decode(content).map_err(|_| Malformed)? {
            pb::WindowUpdate { increment: 0 } => {
                return Err(Fault::protocol("a window_update adds nothing"));
            }
            pb::WindowUpdate { increment } => Payload::Window(increment),
        },
        payload::RESET => core_reset(pb::Reset::decode(content).map_err(|_| Malformed)?),
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

pub(super) const fn core_direction(number: i32) -> Result<Direction, Fault> {
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
fn implied(tag: u32, stated: Option<Protocol>) -> Protocol {
    match tag {
        payload::GRPC_REQUEST | payload::GRPC_RESPONSE | payload::GRPC_STREAM_CHUNK => Protocol::Grpc,
        payload::WS_REQUEST | payload::WS_RESPONSE | payload::WS_FRAME => Protocol::WebSocket,
        payload::HTTP_CHUNK if stated == Some(Protocol::WebSocket) => Protocol::WebSocket,
        payload::WINDOW_UPDATE | payload::RESET => stated.unwrap_or(Protocol::Http),
        _ => Protocol::Http,
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
