//! Who is on the other side of a socket.

use std::{fmt, net::SocketAddr, sync::Arc};

use http::uri::Scheme;

use crate::admit::OriginMemo;

/// What an entry knows about a connection. It stands in the request's extensions, and is never read from a header.
#[derive(Clone)]
pub struct PeerInfo {
    /// The address of the socket's other end; none for a connection without addresses, such as a pipe.
    pub addr: Option<SocketAddr>,
    /// The scheme by which the outside client came: `https` where the entry took TLS off.
    pub scheme: Scheme,
    memo: Option<Arc<OriginMemo>>,
}

impl PeerInfo {
    /// A peer with this address, if it has one, that came by this scheme.
    #[must_use]
    pub const fn new(addr: Option<SocketAddr>, scheme: Scheme) -> Self {
        Self {
            addr,
            scheme,
            memo: None,
        }
    }

    /// The same, for a connection whose requests all get a clone of it: what [admission](crate::admit) makes of the address and of
    /// the host that the first request names is then kept for the others.
    #[must_use]
    pub fn of_connection(self) -> Self {
        Self {
            memo: Some(Arc::default()),
            ..self
        }
    }

    pub(crate) fn memo(&self) -> Option<&OriginMemo> {
        self.memo.as_deref()
    }

    /// A peer that came without TLS.
    #[must_use]
    pub const fn plaintext(addr: SocketAddr) -> Self {
        Self::new(Some(addr), Scheme::HTTP)
    }

    /// A peer of which nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self::new(None, Scheme::HTTP)
    }
}

impl PartialEq for PeerInfo {
    fn eq(&self, other: &Self) -> bool {
        self.addr == other.addr && self.scheme == other.scheme
    }
}

impl Eq for PeerInfo {}

impl fmt::Debug for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerInfo")
            .field("addr", &self.addr)
            .field("scheme", &self.scheme)
            .finish()
    }
}
