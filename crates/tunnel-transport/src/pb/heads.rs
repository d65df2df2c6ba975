//! Heads, pieces of bodies and frames: from the wire to the core.

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    uri::{Authority, PathAndQuery, Scheme},
};
use tunnel_core::{
    End, Payload, Protocol, RequestHead, ResponseHead, TraceId,
    admit::is_protocol_name,
    message::{Data, MESSAGE_COST, RequestStart, ResponseStart},
    ws::WsFrame,
};

use super::{
    Fault, Limits,
    decode::core_direction,
    fields::{List, Source},
    tags::{grpc_chunk, http_chunk, request, response, ws_frame},
    wire::{Encoded, Fields, Malformed},
};

/// What of a body, and of its end, stands in a message.
struct Piece<'a> {
    body: &'a [u8],
    end: bool,
    trailers: List<'a>,
}

/// A slice of a message holds on to the whole, while credit counts only the slice: no more than so many times that.
const MOST_HELD: usize = 8;

impl<'a> Piece<'a> {
    /// None yet of `content`, which has trailers under this tag.
    const fn of(content: &'a [u8], trailers: u32) -> Self {
        Self {
            body: &[],
            end: false,
            trailers: List::of(content, trailers),
        }
    }

    fn data(&self, message: &Encoded, limits: &Limits) -> Result<Data, Fault> {
        Ok(Data {
            data: body(self.body, message, limits)?,
            end: self.end(message, limits)?,
        })
    }

    fn end(&self, message: &Encoded, limits: &Limits) -> Result<Option<End>, Fault> {
        match (self.end, self.trailers.is_empty()) {
            (false, true) => Ok(None),
            (false, false) => Err(Fault::protocol("trailers came before the end")),
            (true, true) => Ok(Some(End::default())),
            (true, false) => {
                self.trailers.check(0, limits)?;
                let mut source = Source::of(message, self.trailers.bytes());
                let trailers = self.trailers.to_map(&mut source, 0, 0)?;
                Ok(Some(End {
                    trailers: Some(Box::new(trailers)),
                }))
            }
        }
    }
}

fn body(data: &[u8], message: &Encoded, limits: &Limits) -> Result<Bytes, Fault> {
    if data.len() > limits.chunk {
        return Err(Fault::protocol(
            "a message has more body bytes than the settings allow",
        ));
    }
    if (data.len() + MESSAGE_COST) * MOST_HELD < message.held() {
        return Ok(Bytes::copy_from_slice(data));
    }
    Ok(match data {
        [] => Bytes::new(),
        data => message.bytes().slice_ref(data),
    })
}

struct Request<'a> {
    method: &'a [u8],
    scheme: &'a [u8],
    authority: &'a [u8],
    path: &'a [u8],
    headers: List<'a>,
    piece: Piece<'a>,
    credit: u32,
    upgrade: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(content: &'a [u8], protocol: Protocol, limits: &Limits) -> Result<Self, Malformed> {
        let mut read = Self {
            method: &[],
            scheme: &[],
            authority: &[],
            path: &[],
            headers: List::of(content, request::HEADERS),
            piece: Piece::of(content, request::TRAILERS),
            credit: 0,
            upgrade: &[],
        };
        let mut fields = Fields(content);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                request::METHOD => read.method = value.bytes()?,
                request::SCHEME => read.scheme = value.bytes()?,
                request::AUTHORITY => read.authority = value.bytes()?,
                request::PATH => read.path = value.bytes()?,
                request::HEADERS => read.headers.count(value.bytes()?, limits)?,
                request::BODY => read.piece.body = value.bytes()?,
                request::END => read.piece.end = value.flag()?,
                request::TRAILERS => read.piece.trailers.count(value.bytes()?, limits)?,
                request::CREDIT => read.credit = value.u32()?,
                request::UPGRADE if protocol == Protocol::WebSocket => read.upgrade = value.bytes()?,
                _ => {}
            }
        }
        Ok(read)
    }
}

pub(super) fn request(
    content: &[u8],
    message: &Encoded,
    protocol: Protocol,
    trace_id: Option<TraceId>,
    limits: &Limits,
) -> Result<Payload, Fault> {
    let read = Request::read(content, protocol, limits)?;
    let upgrade = match protocol {
        Protocol::WebSocket => Some(upgrade(read.upgrade)?.unwrap_or(HeaderValue::from_static("websocket"))),
        Protocol::Http | Protocol::Grpc => None,
    };
    let target = read.method.len() + read.scheme.len() + read.authority.len() + read.path.len();
    read.headers.check(target, limits)?;
    let mut source = Source::of(message, read.headers.bytes() + target);
    let head = RequestHead {
        upgrade: upgrade.map(Box::new),
        method: Method::from_bytes(read.method).map_err(|_| Fault::protocol("the method is no token"))?,
        scheme: scheme(read.scheme)?,
        authority: authority(read.authority, &mut source)?,
        path: path(read.path, &mut source)?,
        // What serves the request adds `host`.
        headers: read.headers.to_map(&mut source, 1, 0)?,
    };
    let Data { data, end } = read.piece.data(message, limits)?;
    Ok(Payload::Request(Box::new(RequestStart {
        head,
        data,
        end,
        credit: read.credit,
        trace_id,
    })))
}

/// RFC 3986, section 3.1. `http` would take an empty scheme, and one that begins with a digit.
fn scheme(text: &[u8]) -> Result<Scheme, Fault> {
    const INVALID: Fault = Fault::protocol("the scheme is not valid");
    if !text.first().is_some_and(u8::is_ascii_alphabetic) {
        return Err(INVALID);
    }
    Scheme::try_from(text).map_err(|_| INVALID)
}

fn authority(text: &[u8], source: &mut Source<'_>) -> Result<Option<Authority>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.contains(&b'@') {
        return Err(Fault::protocol("the authority has user information"));
    }
    Authority::from_maybe_shared(source.part(text))
        .map(Some)
        .map_err(|_| Fault::protocol("the authority is not valid"))
}

/// Absolute, or `*`. What `http` would not keep byte for byte, such as a fragment, is not valid.
fn path(bytes: &[u8], source: &mut Source<'_>) -> Result<PathAndQuery, Fault> {
    const INVALID: Fault = Fault::protocol("the path is not valid");
    if !bytes.starts_with(b"/") && *bytes != *b"*" {
        return Err(INVALID);
    }
    let path = PathAndQuery::from_maybe_shared(source.part(bytes)).map_err(|_| INVALID)?;
    if path.as_str().as_bytes() == bytes {
        Ok(path)
    } else {
        Err(INVALID)
    }
}

/// What is no trace id is dropped, because it serves nothing but a log; but it must be text.
pub(super) fn trace_id(text: &[u8]) -> Result<Option<TraceId>, Malformed> {
    match TraceId::from_text(text) {
        None if str::from_utf8(text).is_err() => Err(Malformed),
        trace_id => Ok(trace_id),
    }
}

struct Response<'a> {
    status: u32,
    headers: List<'a>,
    piece: Piece<'a>,
    upgrade: &'a [u8],
}

impl<'a> Response<'a> {
    fn read(content: &'a [u8], protocol: Protocol, limits: &Limits) -> Result<Self, Malformed> {
        let mut read = Self {
            status: 0,
            headers: List::of(content, response::HEADERS),
            piece: Piece::of(content, response::TRAILERS),
            upgrade: &[],
        };
        let mut fields = Fields(content);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                response::STATUS => read.status = value.u32()?,
                response::HEADERS => read.headers.count(value.bytes()?, limits)?,
                response::BODY => read.piece.body = value.bytes()?,
                response::END => read.piece.end = value.flag()?,
                response::TRAILERS => read.piece.trailers.count(value.bytes()?, limits)?,
                response::UPGRADE if protocol == Protocol::WebSocket => read.upgrade = value.bytes()?,
                _ => {}
            }
        }
        Ok(read)
    }
}

/// The least room for fields in the head of an answer. hyper puts the next request of a connection of HTTP/1.1 into the map that its
/// last answer had, and admission adds fields to that: a map that is too small would grow with each request.
const USUAL_ROOM: usize = 12;

/// What the head says that it upgrades to counts only with a 101.
pub(super) fn response(
    content: &[u8],
    message: &Encoded,
    protocol: Protocol,
    limits: &Limits,
) -> Result<Payload, Fault> {
    let read = Response::read(content, protocol, limits)?;
    let upgrade = upgrade(read.upgrade)?;
    read.headers.check(0, limits)?;
    let status = status(read.status, protocol)?;
    let upgrade = upgrade.filter(|_| status == StatusCode::SWITCHING_PROTOCOLS);
    let head = ResponseHead {
        upgrade: upgrade.map(Box::new),
        status,
        headers: read
            .headers
            .to_map(&mut Source::of(message, read.headers.bytes()), 0, USUAL_ROOM)?,
    };
    let Data { data, end } = read.piece.data(message, limits)?;
    Ok(Payload::Response(Box::new(ResponseStart { head, data, end })))
}

/// The protocol that a head names, if it does.
fn upgrade(text: &[u8]) -> Result<Option<HeaderValue>, Fault> {
    const INVALID: Fault = Fault::protocol("upgrade is not the name of a protocol");
    if text.is_empty() {
        return Ok(None);
    }
    if !is_protocol_name(text) {
        return Err(INVALID);
    }
    HeaderValue::from_bytes(text).map(Some).map_err(|_| INVALID)
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

pub(super) fn http_chunk(content: &[u8], message: &Encoded, limits: &Limits) -> Result<Payload, Fault> {
    let mut read = Piece::of(content, http_chunk::TRAILERS);
    let mut fields = Fields(content);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            http_chunk::DATA => read.body = value.bytes()?,
            http_chunk::END => read.end = value.flag()?,
            http_chunk::TRAILERS => read.trailers.count(value.bytes()?, limits)?,
            _ => {}
        }
    }
    piece(&read, message, limits)
}

pub(super) fn grpc_chunk(content: &[u8], message: &Encoded, limits: &Limits) -> Result<Payload, Fault> {
    let mut read = Piece::of(content, grpc_chunk::TRAILERS);
    let mut fields = Fields(content);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            grpc_chunk::IS_REQUEST | grpc_chunk::IS_FIRST => drop(value.flag()?),
            grpc_chunk::IS_LAST => read.end = value.flag()?,
            grpc_chunk::DATA => read.body = value.bytes()?,
            grpc_chunk::TRAILERS => read.trailers.count(value.bytes()?, limits)?,
            _ => {}
        }
    }
    piece(&read, message, limits)
}

fn piece(read: &Piece<'_>, message: &Encoded, limits: &Limits) -> Result<Payload, Fault> {
    if read.body.is_empty() && !read.end {
        return Err(Fault::protocol("a piece of a body is empty and not the last"));
    }
    Ok(Payload::Data(read.data(message, limits)?))
}

pub(super) fn ws_frame(content: &[u8], message: &Encoded, limits: &Limits) -> Result<Payload, Fault> {
    let (mut fin, mut more, mut opcode, mut rsv) = (false, false, 0, 0);
    let (mut length, mut direction, mut data) = (0, 0, &[][..]);
    let mut fields = Fields(content);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            ws_frame::FIN => fin = value.flag()?,
            ws_frame::OPCODE => opcode = value.u32()?,
            ws_frame::PAYLOAD => data = value.bytes()?,
            ws_frame::FRAME_DIRECTION => direction = value.i32()?,
            ws_frame::RSV => rsv = value.u32()?,
            ws_frame::MORE => more = value.flag()?,
            ws_frame::LENGTH => length = value.number()?,
            _ => {}
        }
    }
    core_direction(direction)?;
    let bits = |number: u32, bits: u32| u8::try_from(number).ok().filter(|number| *number < 1 << bits);
    Ok(Payload::Frame(WsFrame {
        fin,
        rsv: bits(rsv, 3).ok_or(Fault::protocol("rsv has more than three bits"))?,
        opcode: bits(opcode, 4).ok_or(Fault::protocol("opcode has more than four bits"))?,
        more,
        length,
        data: body(data, message, limits)?,
    }))
}
