use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::io::ReadBuf;
use tunnel_core::upgrade::ByteStream;

use crate::net::Socket;

/// A connection that has switched to another protocol.
///
/// Dropped before both directions are over, it [aborts](Socket::abort) the connection, so that the peer sees a failure.
pub(crate) struct UpgradedIo<T: Socket, G> {
    io: T,
    /// What was read of the new protocol before the switch.
    early: Bytes,
    has_read: bool,
    has_written: bool,
    /// Kept as long as the connection.
    _held: G,
}

impl<T: Socket, G> UpgradedIo<T, G> {
    pub(crate) fn new(io: T, early: Bytes, held: G) -> Self {
        Self {
            io,
            early,
            has_read: false,
            has_written: false,
            _held: held,
        }
    }
}

impl<T: Socket, G: Send + Unpin + 'static> ByteStream for UpgradedIo<T, G> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let len = self.early.len().min(buf.len());
            self.early.copy_to_slice(&mut buf[..len]);
            if self.early.is_empty() {
                // It shares hyper's whole buffer.
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(len));
        }
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        let len = buf.filled().len();
        self.has_read |= len == 0;
        Poll::Ready(Ok(len))
    }

    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        self.has_written = true;
        Poll::Ready(Ok(()))
    }
}

impl<T: Socket, G> Drop for UpgradedIo<T, G> {
    fn drop(&mut self) {
        if !(self.has_read && self.has_written) {
            self.io.abort();
        }
    }
}
