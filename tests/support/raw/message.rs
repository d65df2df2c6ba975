//! Messages of the wire, valid ones and others.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tunnel_core::RequestId;
use tunnel_transport::wire::{self as pb, tunnel_message::Payload};

/// An id that no exchange has had.
#[must_use]
pub fn new_id() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    RequestId::from_parts(millis, rand::random()).to_string()
}

/// A message that is being written. Each function changes what its payload has of that, and fails the test when it has
/// nothing of the kind.
#[derive(Clone, Debug)]
#[must_use = "a message does nothing before it is sent"]
pub struct Draft(pb::TunnelMessage);

impl From<Draft> for pb::TunnelMessage {
    fn from(draft: Draft) -> Self {
        draft.0
    }
}

/// A message that belongs to no exchange.
pub fn control(payload: Payload) -> Draft {
    Draft(pb::TunnelMessage {
        protocol_type: pb::ProtocolType::Control.into(),
        payload: Some(payload),
        ..Default::default()
    })
}

/// A message of an exchange that the gateway opened; see [`Draft::opened_by_agent`].
pub fn of_exchange(id: &str, payload: Payload) -> Draft {
    Draft(pb::TunnelMessage {
        request_id: id.to_owned(),
        direction: pb::Direction::ServerToClient.into(),
        protocol_type: pb::ProtocolType::Http.into(),
        payload: Some(payload),
        ..Default::default()
    })
}

/// The settings that both ends have by default.
#[must_use]
pub fn settings() -> pb::Settings {
    pb::Settings {
        initial_credit: 256 * 1024,
        max_chunk: 64 * 1024 - 256,
        max_exchanges: 1_000,
        max_head_bytes: 64 * 1024,
        max_fields: 200,
    }
}

/// A request without fields or body, which has not ended; the response may have 256 KiB of body.
pub fn http_request(id: &str, method: &str, path: &str) -> Draft {
    let request = pb::HttpRequest {
        method: method.to_owned(),
        scheme: "http".to_owned(),
        authority: "demo.example".to_owned(),
        path: path.to_owned().into(),
        credit: 256 * 1024,
        ..Default::default()
    };
    of_exchange(id, Payload::HttpRequest(request))
}

/// A response without fields or body, which has not ended.
pub fn http_response(id: &str, status: u32) -> Draft {
    let response = pb::HttpResponse {
        status,
        ..Default::default()
    };
    of_exchange(id, Payload::HttpResponse(response))
}

/// A piece of body, which does not end it.
pub fn http_chunk(id: &str, data: impl Into<Bytes>) -> Draft {
    let chunk = pb::HttpBodyChunk {
        data: data.into(),
        ..Default::default()
    };
    of_exchange(id, Payload::HttpChunk(chunk))
}

/// More credit.
pub fn window_update(id: &str, increment: u32) -> Draft {
    of_exchange(id, Payload::WindowUpdate(pb::WindowUpdate { increment }))
}

/// The end of an exchange before its time. The reason is a number of `tunnel.proto`.
pub fn reset(id: &str, reason: u32) -> Draft {
    let reset = pb::Reset {
        reason,
        detail: String::new(),
    };
    of_exchange(id, Payload::Reset(reset))
}

/// A ping.
pub fn ping(nonce: u64) -> Draft {
    control(Payload::Ping(pb::Ping { nonce }))
}

/// A pong.
pub fn pong(nonce: u64) -> Draft {
    control(Payload::Pong(pb::Pong { nonce }))
}

/// The wish to stop, without a reason.
pub fn drain() -> Draft {
    control(Payload::Drain(pb::Drain::default()))
}

/// An error of the stream or the session.
pub fn error(code: pb::error_message::Code, message: &str, retry_after_ms: u32) -> Draft {
    control(Payload::ErrorMessage(pb::ErrorMessage {
        code: code.into(),
        message: message.to_owned(),
        retry_after_ms,
    }))
}

impl Draft {
    /// With this field, in the head.
    pub fn header(self, name: &str, value: impl Into<Bytes>) -> Self {
        let header = pb::Header {
            name: name.to_owned(),
            value: value.into(),
        };
        self.change(|payload| match payload {
            Payload::HttpRequest(request) => request.headers.push(header),
            Payload::HttpResponse(response) => response.headers.push(header),
            other => panic!("{other:?} has no headers"),
        })
    }

    /// With this body, or beginning of one.
    pub fn body(self, data: impl Into<Bytes>) -> Self {
        let data = data.into();
        self.change(|payload| match payload {
            Payload::HttpRequest(request) => request.body = data,
            Payload::HttpResponse(response) => response.body = data,
            Payload::HttpChunk(chunk) => chunk.data = data,
            other => panic!("{other:?} has no body"),
        })
    }

    /// The last of its direction.
    pub fn end(self) -> Self {
        self.change(|payload| match payload {
            Payload::HttpRequest(request) => request.end = true,
            Payload::HttpResponse(response) => response.end = true,
            Payload::HttpChunk(chunk) => chunk.end = true,
            other => panic!("{other:?} cannot end a direction"),
        })
    }

    /// With this trailer field; whether it ends is another matter.
    pub fn trailer(self, name: &str, value: impl Into<Bytes>) -> Self {
        let header = pb::Header {
            name: name.to_owned(),
            value: value.into(),
        };
        self.change(|payload| match payload {
            Payload::HttpRequest(request) => request.trailers.push(header),
            Payload::HttpResponse(response) => response.trailers.push(header),
            Payload::HttpChunk(chunk) => chunk.trailers.push(header),
            other => panic!("{other:?} has no trailers"),
        })
    }

    /// With this much credit for the body of the response.
    pub fn credit(self, bytes: u32) -> Self {
        self.change(|payload| match payload {
            Payload::HttpRequest(request) => request.credit = bytes,
            other => panic!("{other:?} announces no credit"),
        })
    }

    /// Of an exchange that the agent opened.
    pub fn opened_by_agent(mut self) -> Self {
        self.0.direction = pb::Direction::ClientToServer.into();
        self
    }

    /// Whatever else is wanted of it.
    pub fn with(mut self, change: impl FnOnce(&mut pb::TunnelMessage)) -> Self {
        change(&mut self.0);
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Payload)) -> Self {
        change(self.0.payload.as_mut().expect("a draft has a payload"));
        self
    }
}
