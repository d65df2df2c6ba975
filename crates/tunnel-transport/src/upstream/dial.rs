use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tunnel_core::TunnelError;

use crate::{
    net::{Socket, SocketOptions},
    upstream::{error, target::Target},
};

/// How connections to an upstream are made. TLS becomes another variant, here and in [`Io`], and nothing else changes.
#[derive(Debug)]
pub(super) enum Connector {
    Tcp {
        host: String,
        port: u16,
        timeout: Duration,
    },
}

/// One connection to an upstream.
#[pin_project(project = IoProjection)]
#[derive(Debug)]
pub(super) enum Io {
    Tcp(#[pin] TcpStream),
}

impl Connector {
    pub(super) fn tcp(target: &Target, timeout: Duration) -> Self {
        Self::Tcp {
            host: target.host.clone(),
            port: target.port,
            timeout,
        }
    }

    /// Makes a connection. Dropping the future gives it up.
    pub(super) async fn connect(&self) -> Result<Io, TunnelError> {
        let Self::Tcp { host, port, timeout } = self;
        let stream = dial(host, *port, Instant::now() + *timeout)
            .await
            .map_err(error::unreachable)?;
        if let Err(error) = SocketOptions::edge().apply(&stream) {
            tracing::debug!(%error, "socket options were refused");
        }
        Ok(Io::Tcp(stream))
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

impl Socket for Io {
    fn abort(&mut self) {
        let Self::Tcp(stream) = self;
        stream.abort();
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let IoProjection::Tcp(stream) = self.project();
        stream.poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let IoProjection::Tcp(stream) = self.project();
        stream.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let IoProjection::Tcp(stream) = self.project();
        stream.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        let Self::Tcp(stream) = self;
        stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let IoProjection::Tcp(stream) = self.project();
        stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let IoProjection::Tcp(stream) = self.project();
        stream.poll_shutdown(cx)
    }
}
