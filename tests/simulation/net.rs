//! The simulated network, as the tunnel sees it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel_core::PeerInfo;
use tunnel_transport::net::{self, Dialer};
use turmoil::net::{TcpListener, TcpStream};

/// A simulated connection.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

/// A simulated port.
pub(crate) struct Listener(TcpListener);

impl Stream {
    pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        TcpStream::connect((host, port)).await.map(Self)
    }
}

/// What agents and upstreams dial by.
pub(crate) fn dialer() -> Dialer {
    Dialer::new(|host, port| async move { Stream::connect(&host, port).await })
}

impl Listener {
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind(("0.0.0.0", port)).await.map(Self)
    }

    pub(crate) async fn next(&mut self) -> io::Result<Stream> {
        let (stream, _) = self.0.accept().await?;
        Ok(Stream(stream))
    }
}

impl net::Listener for Listener {
    type Io = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, PeerInfo)> {
        let (stream, addr) = self.0.accept().await?;
        Ok((Stream(stream), PeerInfo::plaintext(addr)))
    }
}

impl net::Socket for Stream {}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
