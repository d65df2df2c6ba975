//! The dialect of gRPC.

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tunnel_core::TunnelError;

use super::{CAUSE_HEADER, ResponseBody, detail, table};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A response that is trailers only (gRPC over HTTP/2, "Responses").
pub(super) fn response<B>(error: &TunnelError) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    put_status(headers, error);
    response
}

/// Puts the status, the message, the details and the word for the cause into headers or trailers.
pub(super) fn put_status(headers: &mut HeaderMap, error: &TunnelError) {
    let cause = error.cause();
    #[cfg(feature = "grpc")]
    super::details::put(headers, error);
    headers.insert(GRPC_STATUS, table::grpc_code(cause).into());
    headers.insert(GRPC_MESSAGE, message(detail(error)));
    headers.insert(CAUSE_HEADER, HeaderValue::from_static(cause.word()));
}

/// The text, percent-encoded as gRPC wants it: all but printable ASCII, and `%` itself, become the escapes of their bytes.
fn message(text: &str) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(byte);
        } else {
            encoded.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    HeaderValue::from_bytes(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}
