//! The first message of each direction.

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
}

fn is_grpc(value: &HeaderValue) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let value = value.as_bytes();
    value.len() >= NAME.len()
        && value[..NAME.len()].eq_ignore_ascii_case(NAME)
        && matches!(value.get(NAME.len()), None | Some(b'+' | b';'))
}

/// The head of a request, as it travels.
#[derive(Clone, Debug)]
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
}

/// The head of a response, as it travels.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The end-to-end headers: duplicates kept, the values of one name in order.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// Whether the sender waits for `100 (Continue)` before it sends the body (RFC 9110, section 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }

    /// The bytes of all names and values.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        byte_len(&self.headers)
    }
}

impl ResponseHead {
    /// The bytes of all names and values.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        byte_len(&self.headers)
    }
}

fn byte_len(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_grpc_only_for_its_content_type() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            Protocol::of(&headers)
        };
        for grpc in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x=y",
            "Application/GRPC",
        ] {
            assert_eq!(of(grpc), Protocol::Grpc, "{grpc}");
        }
        for http in [
            "application/grpc-web",
            "application/grpcx",
            "application/json",
            "application/grp",
        ] {
            assert_eq!(of(http), Protocol::Http, "{http}");
        }
        assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);
    }
}
