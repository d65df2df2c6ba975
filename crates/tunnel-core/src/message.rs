//! One message of a shared stream.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    head::{Protocol, RequestHead, ResponseHead},
    id::{RequestId, TraceId},
    reason::ResetReason,
    ws::WsFrame,
};

/// What every data message costs in credit beside its payload, in bytes: about its envelope, so that tiny messages cannot
/// outgrow the bound that the credit sets.
pub const MESSAGE_COST: usize = 64;

/// One message: who it belongs to, and what it says.
#[derive(Clone, Debug)]
pub struct TunnelMessage {
    /// The exchange; [`RequestId::NIL`] for messages about the lane itself.
    pub id: RequestId,
    /// Which end opened the exchange.
    pub direction: Direction,
    /// What the exchange carries.
    pub protocol: Protocol,
    /// What the message says.
    pub payload: Payload,
}

/// Which end opened an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The agent did.
    ClientToServer,
    /// The gateway did.
    ServerToClient,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Opens an exchange. Boxed, because it is far larger than what most messages are.
    Request(Box<RequestStart>),
    /// The first message of the answer.
    Response(Box<ResponseStart>),
    /// More of a body, or its end.
    Data(Data),
    /// A WebSocket frame, or a piece of one; only after an upgrade, in a session that has the feature.
    Frame(WsFrame),
    /// The receiver allows this many more bytes.
    Window(u32),
    /// Ends an exchange.
    Reset(Reset),
    /// A question whether the lane is alive; the other end sends the number back.
    Ping(u64),
    /// The answer to a ping.
    Pong(u64),
}

/// The head of a request, with the body or its beginning if that is there already.
#[derive(Clone)]
pub struct RequestStart {
    /// The head.
    pub head: RequestHead,
    /// The first bytes of the body; they cost credit like any others.
    pub data: Bytes,
    /// Set when the request ends here.
    pub end: Option<End>,
    /// The credit for the response's body, in bytes.
    pub credit: u32,
    /// The trace this belongs to, for the far end's log.
    pub trace_id: Option<TraceId>,
}

/// The head of a response, with the body or its beginning if that is there already.
#[derive(Clone)]
pub struct ResponseStart {
    /// The head.
    pub head: ResponseHead,
    /// The first bytes of the body; they cost credit like any others.
    pub data: Bytes,
    /// Set when the response ends here.
    pub end: Option<End>,
}

/// A piece of a body.
#[derive(Clone, Default)]
pub struct Data {
    /// The bytes; may be empty only when the direction ends here.
    pub data: Bytes,
    /// Set when the direction ends here.
    pub end: Option<End>,
}

/// The end of one direction.
#[derive(Clone, Default)]
pub struct End {
    /// The trailers, if there are any. Boxed, because few messages have them, and every message has room for an end.
    pub trailers: Option<Box<HeaderMap>>,
}

/// The end of an exchange, before its time.
#[derive(Clone, Debug)]
pub struct Reset {
    /// Why.
    pub reason: ResetReason,
    /// More about it, for the log and the outside client; at most 256 bytes are kept.
    pub detail: Option<String>,
}

impl From<ResetReason> for Reset {
    fn from(reason: ResetReason) -> Self {
        Self { reason, detail: None }
    }
}

impl Payload {
    /// The bytes of body that this carries.
    #[must_use]
    pub fn data_len(&self) -> usize {
        match self {
            Self::Request(start) => start.data.len(),
            Self::Response(start) => start.data.len(),
            Self::Data(data) => data.data.len(),
            Self::Frame(frame) => frame.data.len(),
            Self::Window(_) | Self::Reset(_) | Self::Ping(_) | Self::Pong(_) => 0,
        }
    }

    /// What this costs in credit: nothing without body bytes, else their length and [`MESSAGE_COST`]. A frame costs that even when it
    /// is empty.
    #[must_use]
    pub fn cost(&self) -> usize {
        match (self, self.data_len()) {
            (Self::Frame(_), len) => len + MESSAGE_COST,
            (_, 0) => 0,
            (_, len) => len + MESSAGE_COST,
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("len", &self.data.len())
            .field("is_end", &self.end.is_some())
            .finish()
    }
}

impl fmt::Debug for RequestStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStart")
            .field("head", &self.head)
            .field("len", &self.data.len())
            .field("is_end", &self.end.is_some())
            .field("credit", &self.credit)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStart")
            .field("head", &self.head)
            .field("len", &self.data.len())
            .field("is_end", &self.end.is_some())
            .finish()
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trailers = self.trailers.as_deref().map(HeaderMap::len);
        f.debug_struct("End").field("trailers", &trailers).finish()
    }
}
