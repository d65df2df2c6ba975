//! What a request asks for beside an ordinary answer.

use http::{HeaderValue, Method, Version, header, request};

use super::{found::Found, hop};

/// Says that a CONNECT has a `:protocol` (RFC 8441, section 4). The entry puts it into the extensions, because the type in
/// which its codec shows `:protocol` is unknown here. A CONNECT without it is answered 501.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtendedConnect {
    /// The value of `:protocol`, such as `websocket`.
    pub protocol: HeaderValue,
}

impl std::fmt::Debug for ExtendedConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtendedConnect").finish_non_exhaustive()
    }
}

/// What a request asked to switch to, by `Upgrade` of HTTP/1.1 or by an [`ExtendedConnect`]. [`admit`](super::admit()) puts it into
/// the extensions, because it removes `Connection` and `Upgrade`.
#[derive(Clone, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// One protocol, such as `websocket`.
    pub protocol: HeaderValue,
}

impl UpgradeRequest {
    /// Whether it is WebSocket (RFC 6455, section 4.2.1). Names of protocols have no case (RFC 9110, section 7.8).
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    }
}

impl std::fmt::Debug for UpgradeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpgradeRequest").finish_non_exhaustive()
    }
}

/// The longest name of a protocol to switch to that the tunnel carries, in bytes.
const MAX_PROTOCOL_BYTES: usize = 256;

/// Whether `name` is what the tunnel carries as the name of one protocol to switch to: a token of RFC 9110, section 5.6.2, with a
/// version behind a slash or without, of at most 256 bytes.
#[must_use]
pub fn is_protocol_name(name: &[u8]) -> bool {
    (1..=MAX_PROTOCOL_BYTES).contains(&name.len()) && name.iter().all(|byte| is_of_protocol(*byte))
}

const fn is_of_protocol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
                | b'/'
        )
}

/// What `parts` asks to switch to. A server may ignore any such wish (RFC 9110, section 7.8); we ignore what names no protocol, a choice of several
/// protocols, and `h2c`, which would take whoever grants it out of our sight.
pub(super) fn requested(parts: &request::Parts, found: Found) -> Option<UpgradeRequest> {
    if let (&Method::CONNECT, Some(connect)) = (&parts.method, parts.extensions.get::<ExtendedConnect>()) {
        let protocol = connect.protocol.clone();
        return is_protocol_name(protocol.as_bytes()).then_some(UpgradeRequest { protocol });
    }
    if !found.has(Found::UPGRADE) {
        return None;
    }
    let mut fields = parts.headers.get_all(header::UPGRADE).iter();
    let protocol = fields.next()?;
    let bytes = protocol.as_bytes();
    let name = bytes.split(|byte| *byte == b'/').next().unwrap_or_default();
    let is_one = fields.next().is_none() && is_protocol_name(bytes);
    let is_asked = parts.version == Version::HTTP_11
        && is_one
        && !name.trim_ascii().eq_ignore_ascii_case(b"h2c")
        && hop::has_token(&parts.headers, &header::CONNECTION, "upgrade");
    is_asked.then(|| UpgradeRequest {
        protocol: protocol.clone(),
    })
}
