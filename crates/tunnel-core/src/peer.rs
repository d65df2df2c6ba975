//! Who is on the other side of a socket.

use std::net::SocketAddr;

use http::uri::Scheme;

/// What an entry knows about a connection. It stands in the request's extensions, and is never read from a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The address of the socket's other end; none for a connection without addresses, such as a pipe.
    pub addr: Option<SocketAddr>,
    /// The scheme by which the outside client came: `https` where the entry took TLS off.
    pub scheme: Scheme,
}

impl PeerInfo {
    /// A peer that came without TLS.
    #[must_use]
    pub const fn plaintext(addr: SocketAddr) -> Self {
        Self {
            addr: Some(addr),
            scheme: Scheme::HTTP,
        }
    }

    /// A peer of which nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            addr: None,
            scheme: Scheme::HTTP,
        }
    }
}
