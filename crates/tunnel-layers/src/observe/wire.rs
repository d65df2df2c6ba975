use http::{Method, Request, header};
use tunnel_core::{
    Protocol,
    admit::{ExtendedConnect, UpgradeRequest},
};

/// What a request speaks, as far as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// Plain HTTP.
    Http,
    /// gRPC.
    Grpc,
    /// gRPC-Web, from browsers.
    GrpcWeb,
    /// A request for a WebSocket.
    WebSocket,
    /// A request for an upgrade to anything else.
    Upgrade,
}

impl Wire {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Http,
        Self::Grpc,
        Self::GrpcWeb,
        Self::WebSocket,
        Self::Upgrade,
    ];

    /// What a request asks for, admitted or not.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        if let Some(is_websocket) = asks_upgrade(request) {
            return if is_websocket {
                Self::WebSocket
            } else {
                Self::Upgrade
            };
        }
        const WEB: &[u8] = b"application/grpc-web";
        // Asked for once: most requests have none. Calls are POST (gRPC over HTTP/2, section Requests).
        let content = match *request.method() {
            Method::GET | Method::HEAD => None,
            _ => request.headers().get(header::CONTENT_TYPE),
        };
        let Some(content) = content else {
            return Self::Http;
        };
        if Protocol::of(request.headers()) == Protocol::Grpc {
            Self::Grpc
        } else if content.as_bytes().starts_with(WEB) {
            Self::GrpcWeb
        } else {
            Self::Http
        }
    }

    /// The word for it, in labels and log lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::WebSocket => "websocket",
            Self::Upgrade => "upgrade",
        }
    }

    /// Whether a call ends with a `grpc-status`.
    pub(crate) const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb)
    }

    /// Whether it may become a stream that outlives the response.
    pub(crate) const fn is_upgrade(self) -> bool {
        matches!(self, Self::WebSocket | Self::Upgrade)
    }
}

/// Whether the request asks for an upgrade, and then whether for a WebSocket.
fn asks_upgrade<B>(request: &Request<B>) -> Option<bool> {
    if let Some(asked) = request.extensions().get::<UpgradeRequest>() {
        return Some(asked.is_websocket());
    }
    if let Some(asked) = request.headers().get(header::UPGRADE) {
        return Some(asked.as_bytes().eq_ignore_ascii_case(b"websocket"));
    }
    if *request.method() != Method::CONNECT {
        return None;
    }
    #[cfg(feature = "upgrade")]
    if let Some(protocol) = request.extensions().get::<hyper::ext::Protocol>() {
        return Some(protocol.as_str().eq_ignore_ascii_case("websocket"));
    }
    let asked = request.extensions().get::<ExtendedConnect>()?;
    Some(asked.protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
