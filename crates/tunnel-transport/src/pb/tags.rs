//! The numbers of the fields in `tunnel.proto`. The tests hold them against the generated types.

/// `TunnelMessage`.
pub(super) mod envelope {
    pub(in crate::pb) const CLIENT_ID: u32 = 1;
    pub(in crate::pb) const REQUEST_ID: u32 = 2;
    pub(in crate::pb) const DIRECTION: u32 = 3;
    pub(in crate::pb) const PROTOCOL_TYPE: u32 = 4;
    pub(in crate::pb) const MESSAGE_TYPE: u32 = 5;
    pub(in crate::pb) const TRACE_ID: u32 = 30;
}

/// The payloads of `TunnelMessage`.
pub(super) mod payload {
    pub(in crate::pb) const HTTP_REQUEST: u32 = 10;
    pub(in crate::pb) const HTTP_RESPONSE: u32 = 11;
    pub(in crate::pb) const GRPC_REQUEST: u32 = 12;
    pub(in crate::pb) const GRPC_RESPONSE: u32 = 13;
    pub(in crate::pb) const GRPC_STREAM_CHUNK: u32 = 14;
    pub(in crate::pb) const WS_REQUEST: u32 = 15;
    pub(in crate::pb) const WS_RESPONSE: u32 = 16;
    pub(in crate::pb) const WS_FRAME: u32 = 17;
    pub(in crate::pb) const HTTP_CHUNK: u32 = 18;
    pub(in crate::pb) const STREAM_OPEN: u32 = 20;
    pub(in crate::pb) const ERROR_MESSAGE: u32 = 24;
    pub(in crate::pb) const WINDOW_UPDATE: u32 = 25;
    pub(in crate::pb) const RESET: u32 = 26;
    pub(in crate::pb) const PING: u32 = 27;
    pub(in crate::pb) const PONG: u32 = 28;
    pub(in crate::pb) const DRAIN: u32 = 29;
    pub(in crate::pb) const CREDENTIALS: u32 = 31;
}

/// `HttpRequest`, and its likes.
pub(super) mod request {
    pub(in crate::pb) const METHOD: u32 = 1;
    pub(in crate::pb) const SCHEME: u32 = 2;
    pub(in crate::pb) const AUTHORITY: u32 = 3;
    pub(in crate::pb) const PATH: u32 = 4;
    pub(in crate::pb) const HEADERS: u32 = 5;
    pub(in crate::pb) const BODY: u32 = 6;
    pub(in crate::pb) const END: u32 = 7;
    pub(in crate::pb) const TRAILERS: u32 = 8;
    pub(in crate::pb) const CREDIT: u32 = 9;
    /// Of `WebSocketRequest` alone.
    pub(in crate::pb) const UPGRADE: u32 = 10;
}

/// `HttpResponse`, and its likes.
pub(super) mod response {
    pub(in crate::pb) const STATUS: u32 = 1;
    pub(in crate::pb) const HEADERS: u32 = 2;
    pub(in crate::pb) const BODY: u32 = 3;
    pub(in crate::pb) const END: u32 = 4;
    pub(in crate::pb) const TRAILERS: u32 = 5;
    /// Of `WebSocketResponse` alone.
    pub(in crate::pb) const UPGRADE: u32 = 6;
}

/// `HttpBodyChunk`.
pub(super) mod http_chunk {
    pub(in crate::pb) const DATA: u32 = 1;
    pub(in crate::pb) const END: u32 = 2;
    pub(in crate::pb) const TRAILERS: u32 = 3;
}

/// `GrpcStreamChunk`.
pub(super) mod grpc_chunk {
    pub(in crate::pb) const IS_REQUEST: u32 = 1;
    pub(in crate::pb) const IS_FIRST: u32 = 2;
    pub(in crate::pb) const IS_LAST: u32 = 3;
    pub(in crate::pb) const DATA: u32 = 4;
    pub(in crate::pb) const TRAILERS: u32 = 5;
}

/// `WebSocketFrame`.
pub(super) mod ws_frame {
    pub(in crate::pb) const FIN: u32 = 1;
    pub(in crate::pb) const OPCODE: u32 = 2;
    pub(in crate::pb) const PAYLOAD: u32 = 3;
    pub(in crate::pb) const FRAME_DIRECTION: u32 = 4;
    pub(in crate::pb) const RSV: u32 = 5;
    pub(in crate::pb) const MORE: u32 = 6;
    pub(in crate::pb) const LENGTH: u32 = 7;
}

/// `Header`.
pub(super) mod header {
    pub(in crate::pb) const NAME: u32 = 1;
    pub(in crate::pb) const VALUE: u32 = 2;
}
