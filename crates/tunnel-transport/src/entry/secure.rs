use std::time::Duration;

use http::{Extensions, uri::Scheme};
use tokio::time::timeout;
use tunnel_core::{PeerInfo, TlsIdentity};

use crate::{
    net::{MaybeTls, Socket},
    tls::{self, Alpn, ServerTls, Shown, TlsError, TlsInfo},
};

/// A handshake takes two round trips or three; who takes longer holds a connection for nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the connections of a port speak TLS.
#[derive(Clone, Debug)]
pub(super) struct Security {
    pub(super) tls: Option<ServerTls>,
    pub(super) timeout: Duration,
    alpn: Alpn,
}

/// Who is on the other side of a connection, as the extensions of its requests tell it.
#[derive(Clone)]
pub(super) struct Peer {
    info: PeerInfo,
    tls: Option<(TlsInfo, Option<TlsIdentity>)>,
    /// On the port for agents, whose sessions are long.
    certificate: Option<Certificate>,
}

/// The certificate that an agent has shown, in the extensions of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Certificate(Shown);

impl Certificate {
    /// Verifies it by what the port's files say now.
    pub(crate) fn verify(&self) -> Result<(), TlsError> {
        self.0.verify()
    }
}

impl Default for Security {
    fn default() -> Self {
        Self {
            tls: None,
            timeout: DEFAULT_TIMEOUT,
            alpn: Alpn::Either,
        }
    }
}

impl Security {
    /// For a port that speaks gRPC only.
    pub(super) fn for_agents() -> Self {
        Self {
            alpn: Alpn::Http2,
            ..Self::default()
        }
    }

    /// Sees to it that the files of certificates are read again from time to time.
    pub(super) fn watch(&self) {
        if let Some(tls) = &self.tls {
            tls.watch();
        }
    }

    /// The connection to speak HTTP on; none if there was no TLS handshake in time, or not a good one. Dropping the future
    /// gives the connection up.
    pub(super) async fn handshake<T: Socket>(
        &self,
        socket: T,
        mut info: PeerInfo,
    ) -> Option<(MaybeTls<T>, Peer)> {
        let Some(tls) = &self.tls else {
            return Some((MaybeTls::Plain(socket), Peer::new(info, None, None)));
        };
        match timeout(self.timeout, tls::accept(tls.config(self.alpn), socket)).await {
            Ok(Ok((stream, told, identity))) => {
                tracing::debug!(peer = ?info.addr, tls = ?told, ?identity, "TLS handshake");
                info.scheme = Scheme::HTTPS;
                let certificate = match self.alpn {
                    Alpn::Http2 => Shown::of(&stream, tls).map(Certificate),
                    Alpn::Http1 | Alpn::Either => None,
                };
                let peer = Peer::new(info, Some((told, identity)), certificate);
                Some((MaybeTls::Tls(Box::new(stream)), peer))
            }
            Ok(Err(error)) => {
                tracing::debug!(peer = ?info.addr, %error, "no TLS handshake");
                None
            }
            Err(_) => {
                tracing::debug!(peer = ?info.addr, timeout = ?self.timeout, "no TLS handshake in time");
                None
            }
        }
    }
}

impl Peer {
    fn new(
        info: PeerInfo,
        tls: Option<(TlsInfo, Option<TlsIdentity>)>,
        certificate: Option<Certificate>,
    ) -> Self {
        Self {
            info: info.of_connection(),
            tls,
            certificate,
        }
    }

    pub(super) fn put_into(&self, extensions: &mut Extensions) {
        extensions.insert(self.info.clone());
        if let Some(certificate) = &self.certificate {
            extensions.insert(certificate.clone());
        }
        if let Some((tls, identity)) = &self.tls {
            extensions.insert(tls.clone());
            if let Some(identity) = identity {
                extensions.insert(identity.clone());
            }
        }
    }
}
