//! The one proof that a server has understood a WebSocket handshake.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use sha1::{Digest as _, Sha1};

/// The value of `Sec-WebSocket-Accept` for this value of `Sec-WebSocket-Key` (RFC 6455, section 4.2.2).
///
/// ```
/// let accept = tunnel_core::upgrade::accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> HeaderValue {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut text = [0; 28];
    let written = STANDARD.encode_slice(digest, &mut text).unwrap_or_default();
    // Base64 has only characters that a value may have.
    HeaderValue::from_bytes(&text[..written]).unwrap_or_else(|_| HeaderValue::from_static(""))
}
