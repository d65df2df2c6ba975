/// What one side offers by ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http1,
    Http2,
    /// HTTP/2 rather than HTTP/1.1.
    Either,
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

impl Alpn {
    pub(super) fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![HTTP1.to_vec()],
            Self::Http2 => vec![HTTP2.to_vec()],
            Self::Either => vec![HTTP2.to_vec(), HTTP1.to_vec()],
        }
    }
}

/// Whether this name, which the other side has chosen, is HTTP/2.
pub(crate) fn is_http2(chosen: Option<&[u8]>) -> bool {
    chosen == Some(HTTP2)
}
