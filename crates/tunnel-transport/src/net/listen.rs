use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tunnel_core::PeerInfo;

use crate::net::SocketOptions;

/// Connections that the kernel keeps for us while we do not accept; it cuts this to its own bound (`somaxconn`).
pub const DEFAULT_BACKLOG: i32 = 1024;

/// A listening TCP socket on `addr`, with `SO_REUSEADDR` (but on Windows, where it means something else), so that a
/// restart need not wait for old connections. Port 0 lets the system choose one.
///
/// # Errors
///
/// If the address is in use or not ours, or there are no file descriptors left.
///
/// # Panics
///
/// If called outside a tokio runtime.
pub fn bind(addr: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

/// Something that accepts connections: a TCP listener, or whatever a test or another transport puts in its place.
pub trait Listener: Send + 'static {
    /// One connection.
    type Io: Socket;

    /// Waits for the next connection. An error is never the end: the caller tries again after a pause.
    ///
    /// Must be cancel safe: dropping the future loses no connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, PeerInfo)>> + Send;
}

/// The two directions of one connection.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the drop that follows look like a failure to the peer (for TCP: RST and not FIN), where the transport can.
    fn abort(&mut self) {}

    /// Ready when the peer has ended its direction or broken the connection, and all that came before was read; never, where
    /// the transport cannot tell that without reading. The task is woken as by a read.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }
}

impl Socket for TcpStream {
    fn abort(&mut self) {
        // A socket that is broken already needs no reset.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0; 1];
        match ready!(self.poll_peek(cx, &mut ReadBuf::new(&mut byte))) {
            Ok(0) | Err(_) => Poll::Ready(()),
            // Bytes that nobody wants yet; what is behind them does not show.
            Ok(_) => Poll::Pending,
        }
    }
}

impl Socket for tokio::io::DuplexStream {}

/// A stream of HTTP/2. Dropping it resets it, unless both directions have ended.
impl Socket for hyper_util::rt::TokioIo<hyper::upgrade::Upgraded> {}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, PeerInfo)> {
        let (stream, addr) = Self::accept(self).await?;
        if let Err(error) = SocketOptions::edge().apply(&stream) {
            tracing::debug!(%error, "socket options were refused");
        }
        Ok((stream, PeerInfo::plaintext(addr)))
    }
}
