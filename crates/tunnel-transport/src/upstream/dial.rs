use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tunnel_core::TunnelError;

use crate::{
    net::{Dialer, MaybeTls, SocketOptions, Wire},
    upstream::{error, target::Target},
};

/// One connection to an upstream.
pub(super) type Io = MaybeTls<Wire>;

/// How connections to an upstream are made. Clones differ only in what they offer by ALPN.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    host: Arc<str>,
    port: u16,
    timeout: Duration,
    dialer: Option<Dialer>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
struct Tls {
    client: crate::tls::ClientTls,
    offered: crate::tls::Alpn,
    /// Whether the last handshake failed: it is logged once.
    failing: Arc<std::sync::atomic::AtomicBool>,
}

impl Connector {
    /// Without TLS.
    pub(super) fn new(target: &Target, timeout: Duration) -> Self {
        Self {
            host: target.host.as_str().into(),
            port: target.port,
            timeout,
            dialer: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Makes a connection, with TLS if it is to have it. Dropping the future gives it up.
    pub(super) async fn connect(&self) -> Result<Io, TunnelError> {
        let deadline = Instant::now() + self.timeout;
        let stream = self.dial(deadline).await.map_err(error::unreachable)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let secured = tls.handshake(&self.host, stream, deadline).await;
            return secured.map_err(error::unreachable);
        }
        Ok(Io::Plain(stream))
    }

    async fn dial(&self, deadline: Instant) -> io::Result<Wire> {
        if let Some(dialer) = &self.dialer {
            return timeout_at(deadline, dialer.dial(&self.host, self.port)).await?;
        }
        let stream = dial(&self.host, self.port, deadline).await?;
        if let Err(error) = SocketOptions::edge().apply(&stream) {
            tracing::debug!(%error, "socket options were refused");
        }
        Ok(Wire::Tcp(stream))
    }

    /// The same, which dials by this instead of TCP.
    pub(super) fn dialed_by(self, dialer: Option<Dialer>) -> Self {
        Self { dialer, ..self }
    }
}

#[cfg(feature = "tls")]
impl Connector {
    /// With TLS, and for HTTP/1.1.
    pub(super) fn with_tls(mut self, client: crate::tls::ClientTls) -> Self {
        self.tls = Some(Tls {
            client,
            offered: crate::tls::Alpn::Http1,
            failing: Arc::default(),
        });
        self
    }

    /// For HTTP/2.
    pub(super) fn http2(self) -> Self {
        self.offering(crate::tls::Alpn::Http2)
    }

    /// For what the upstream chooses.
    pub(super) fn either(self) -> Self {
        self.offering(crate::tls::Alpn::Either)
    }

    fn offering(mut self, offered: crate::tls::Alpn) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.offered = offered;
        }
        self
    }
}

#[cfg(feature = "tls")]
impl Tls {
    async fn handshake(&self, host: &str, stream: Wire, deadline: Instant) -> io::Result<Io> {
        use std::sync::atomic::Ordering;

        let connecting = self.client.connect(host, self.offered, stream);
        let secured = match timeout_at(deadline, connecting).await {
            Ok(secured) => secured,
            Err(elapsed) => Err(elapsed.into()),
        };
        match &secured {
            Ok(_) => self.failing.store(false, Ordering::Relaxed),
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%host, %error, "no TLS connection to the upstream");
            }
            Err(error) => tracing::debug!(%host, %error, "no TLS connection to the upstream"),
        }
        Ok(Io::Tls(Box::new(secured?)))
    }
}

/// Tries the addresses of `host` one after the other; each gets its share of the time that is left.
async fn dial(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let addresses: Vec<_> = timeout_at(deadline, lookup_host((host, port))).await??.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (index, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(now) / left;
        match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(elapsed) => last = elapsed.into(),
        }
    }
    Err(last)
}
