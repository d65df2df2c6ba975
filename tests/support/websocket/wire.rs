//! The bytes below the frames, and how they break off.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::H2Stream;

/// A connection, or what stands for one.
#[derive(Debug)]
pub enum Wire {
    /// A socket.
    Socket(TcpStream),
    /// What a server of hyper gives its app.
    Upgraded(TokioIo<Upgraded>),
    /// A stream of HTTP/2 at its client.
    Stream(H2Stream),
}

impl Wire {
    /// Breaks it off: RST for a socket, RST_STREAM for a stream. What an app holds can only be dropped.
    ///
    /// # Panics
    ///
    /// When the socket is not one any more.
    pub fn reset(self) {
        match self {
            Self::Socket(socket) => socket.set_zero_linger().expect("a socket has that option"),
            Self::Upgraded(_) => {}
            Self::Stream(mut stream) => stream.reset(),
        }
    }
}

macro_rules! each {
    ($self:expr, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Wire::Socket($io) => $call,
            Wire::Upgraded($io) => $call,
            Wire::Stream($io) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
