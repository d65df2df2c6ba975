use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Socket;

/// A connection with TLS or without: one type, so that what speaks HTTP on it is compiled once.
#[derive(Debug)]
pub(crate) enum MaybeTls<T> {
    Plain(T),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<crate::tls::Sniff<T>>>),
}

/// Calls the same method of either.
macro_rules! either {
    ($this:expr, $io:ident => $call:expr) => {
        match $this {
            MaybeTls::Plain($io) => $call,
            #[cfg(feature = "tls")]
            MaybeTls::Tls($io) => {
                let $io = &mut **$io;
                $call
            }
        }
    };
}

impl<T> MaybeTls<T> {
    /// Whether HTTP/2 was chosen by ALPN.
    pub(crate) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => crate::tls::is_http2(stream.get_ref().1.alpn_protocol()),
        }
    }
}

impl<T: Socket> Socket for MaybeTls<T> {
    fn abort(&mut self) {
        match self {
            Self::Plain(io) => io.abort(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_mut().0.get_mut().abort(),
        }
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(io) => io.poll_left(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => crate::tls::poll_left(stream, cx),
        }
    }
}

impl<T: Socket> AsyncRead for MaybeTls<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl<T: Socket> AsyncWrite for MaybeTls<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut *self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, io => Pin::new(io).poll_shutdown(cx))
    }
}
