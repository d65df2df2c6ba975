//! The first message of each direction.

mod convert;
#[cfg(test)]
mod tests;

use std::fmt;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, header,
    uri::{Authority, PathAndQuery, Scheme},
};

/// What an exchange carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// gRPC: a content type of `application/grpc`, alone or followed by `+` or `;`.
    Grpc,
    /// WebSocket, or another protocol after an upgrade.
    WebSocket,
}

impl Protocol {
    /// The protocol that these request headers speak: gRPC by their content type, else plain HTTP.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.get(header::CONTENT_TYPE).is_some_and(is_grpc) {
            Self::Grpc
        } else {
            Self::Http
        }
    }

    /// The protocol of a request with this head: [`WebSocket`](Self::WebSocket) if it asks to switch to another protocol.
    #[must_use]
    pub fn of_head(head: &RequestHead) -> Self {
        match head.upgrade {
            Some(_) => Self::WebSocket,
            None => Self::of(&head.headers),
        }
    }
}

fn is_grpc(value: &HeaderValue) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let value = value.as_bytes();
    value.len() >= NAME.len()
        && value[..NAME.len()].eq_ignore_ascii_case(NAME)
        && matches!(value.get(NAME.len()), None | Some(b'+' | b';'))
}

/// The head of a request, as it travels.
#[derive(Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The scheme by which the outside client came.
    pub scheme: Scheme,
    /// The canonical authority; there is none in a request of HTTP/1.0 without `Host`.
    pub authority: Option<Authority>,
    /// Path and query, byte for byte.
    pub path: PathAndQuery,
    /// The end-to-end headers: duplicates kept, the values of one name in order.
    pub headers: HeaderMap,
    /// The protocol that the exchange shall switch to. Boxed, because most exchanges have none.
    pub upgrade: Option<Box<HeaderValue>>,
}

/// The head of a response, as it travels.
#[derive(Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The end-to-end headers: duplicates kept, the values of one name in order.
    pub headers: HeaderMap,
    /// The protocol that the exchange switches to; only with status 101.
    pub upgrade: Option<Box<HeaderValue>>,
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .field("fields", &self.headers.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("fields", &self.headers.len())
            .finish()
    }
}
