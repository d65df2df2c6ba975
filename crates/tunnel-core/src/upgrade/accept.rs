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
    encode::<28>(&digest)
}

/// A value for `Sec-WebSocket-Key` (RFC 6455, section 4.1) made of these [random](crate::Runtime::random) bytes: for a client that
/// gave none, since it came by extended CONNECT.
///
/// ```
/// let key = tunnel_core::upgrade::handshake_key(*b"the sample nonce");
/// assert_eq!(key, "dGhlIHNhbXBsZSBub25jZQ==");
/// ```
#[must_use]
pub fn handshake_key(random: [u8; 16]) -> HeaderValue {
    encode::<24>(&random)
}

/// Base64 of as many bytes as make `N` characters.
fn encode<const N: usize>(bytes: &[u8]) -> HeaderValue {
    let mut text = [0; N];
    let written = STANDARD.encode_slice(bytes, &mut text).unwrap_or_default();
    // Base64 has only characters that a value may have.
    HeaderValue::from_bytes(&text[..written]).unwrap_or_else(|_| HeaderValue::from_static(""))
}
