use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tunnel_core::TunnelError;

use crate::{
    Backoff,
    net::{Dialer, MaybeTls, SocketOptions},
    upstream::{
        AllowList, error,
        failures::Failures,
        line::{Kind, Line, OpenCount},
        target::{Address, Target},
    },
};

/// One connection to an upstream.
pub(super) type Io = MaybeTls<Line>;

/// How connections to an upstream are made. Clones differ only in what they offer by ALPN.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// The name, or the address, as it was configured.
    host: Arc<str>,
    address: Address,
    allowed: Option<AllowList>,
    timeout: Duration,
    failures: Arc<Failures>,
    /// Whether nobody dials while it had better wait. Where there are others to go to, who chooses sees to it.
    waits: bool,
    open: OpenCount,
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
            address: target.address.clone(),
            allowed: None,
            timeout,
            failures: Arc::new(Failures::new(None)),
            waits: false,
            open: OpenCount::default(),
            dialer: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Makes a connection, with TLS if it is to have it. Dropping the future gives it up.
    pub(super) async fn connect(&self) -> Result<Io, TunnelError> {
        if self.waits && self.failures.is_backing_off() {
            return Err(error::let_be());
        }
        let connected = self.dial(Instant::now() + self.timeout).await;
        match &connected {
            Ok(_) => self.failures.succeeded(),
            Err(_) => self.failures.failed(),
        }
        connected.map_err(error::unreachable)
    }

    async fn dial(&self, deadline: Instant) -> io::Result<Io> {
        let socket = timeout_at(deadline, self.socket(deadline)).await??;
        let line = Line::new(socket, &self.open);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.handshake(&self.host, line, deadline).await;
        }
        Ok(Io::Plain(line))
    }

    async fn socket(&self, deadline: Instant) -> io::Result<Kind> {
        if let Some(dialer) = &self.dialer {
            let (host, port) = match &self.address {
                Address::Name(host, port) => (host.to_string(), *port),
                Address::Socket(address) => (address.ip().to_string(), address.port()),
                Address::Srv(_) => return Err(nowhere()),
                #[cfg(unix)]
                Address::Unix(path) => (path.display().to_string(), 0),
            };
            return Ok(dialer.dial(&host, port).await?.into());
        }
        let socket = match &self.address {
            Address::Name(host, port) => {
                let found = timeout_at(deadline, lookup_host((&**host, *port))).await??;
                Kind::Tcp(dial_all(self.permitted(found)?, deadline).await?)
            }
            Address::Socket(address) => {
                Kind::Tcp(dial_all(self.permitted([*address].into_iter())?, deadline).await?)
            }
            Address::Srv(_) => return Err(nowhere()),
            #[cfg(unix)]
            Address::Unix(path) => {
                Kind::Unix(timeout_at(deadline, tokio::net::UnixStream::connect(path)).await??)
            }
        };
        if let Kind::Tcp(stream) = &socket
            && let Err(error) = SocketOptions::edge().apply(stream)
        {
            tracing::debug!(%error, "socket options were refused");
        }
        Ok(socket)
    }

    /// Those of the addresses that may be dialled.
    fn permitted(&self, found: impl Iterator<Item = SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let Some(list) = &self.allowed else {
            return Ok(found.collect());
        };
        let (good, bad): (Vec<_>, Vec<_>) = found.partition(|address| list.permits(&self.host, *address));
        match bad.first() {
            Some(address) if good.is_empty() => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} is at {address}, which is not an allowed upstream", self.host),
            )),
            _ => Ok(good),
        }
    }

    /// The same, which dials no other addresses than these.
    pub(super) fn allowed(self, allowed: Option<AllowList>) -> Self {
        Self { allowed, ..self }
    }

    /// The same, which lets an endpoint be after failed dials. With `waits` it is not dialled until then.
    pub(super) fn backing_off(self, backoff: Option<Backoff>, waits: bool) -> Self {
        Self {
            failures: Arc::new(Failures::new(backoff)),
            waits,
            ..self
        }
    }

    /// The same, whose connections are counted there.
    pub(super) fn counted(self, open: OpenCount) -> Self {
        Self { open, ..self }
    }

    pub(super) fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// The same, which dials by this instead of TCP.
    pub(super) fn dialed_by(self, dialer: Option<Dialer>) -> Self {
        Self { dialer, ..self }
    }
}

/// Only the servers that records name are dialled.
fn nowhere() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "SRV records have no address themselves",
    )
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
    async fn handshake(&self, host: &str, stream: Line, deadline: Instant) -> io::Result<Io> {
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

/// Tries the addresses one after the other; each gets its share of the time that is left.
async fn dial_all(addresses: Vec<SocketAddr>, deadline: Instant) -> io::Result<TcpStream> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_dialled_only_where_it_may_be() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Target::parse(&format!("http://localhost:{port}")).unwrap();
        let dial = async |entries: &[&str]| {
            let list = AllowList::parse(entries.iter().copied()).unwrap();
            assert!(list.check(&target).is_ok(), "it may be built");
            let connector = Connector::new(&target, Duration::from_secs(5)).allowed(Some(list));
            connector.connect().await.map(drop).map_err(|error| {
                let source = std::error::Error::source(&error).expect("why");
                source.to_string()
            })
        };
        assert!(
            dial(&["10.0.0.0/8"])
                .await
                .unwrap_err()
                .contains("not an allowed upstream")
        );
        assert_eq!(dial(&["127.0.0.0/8"]).await, Ok(()));
        assert_eq!(dial(&["localhost"]).await, Ok(()));
    }
}
