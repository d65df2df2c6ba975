use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::net::{Socket, writes_inner};

/// A connection that looks at the first byte: what is no TLS is an error here, and rustls answers it with nothing.
#[derive(Debug)]
pub(crate) struct Sniff<T> {
    io: T,
    first: First,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// A handshake record comes first.
    FromClient,
    /// A handshake record, or an alert.
    FromServer,
    Seen,
}

/// The other side does not speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTls {
    /// What it sent looks like a request of HTTP/1.
    #[error("plain HTTP was spoken to a port that speaks TLS")]
    Http1,
    /// It is something else.
    #[error("the other side does not speak TLS")]
    Other,
}

impl NotTls {
    pub(crate) fn find(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl<T> Sniff<T> {
    pub(super) const fn at_server(io: T) -> Self {
        Self {
            io,
            first: First::FromClient,
        }
    }

    pub(super) const fn at_client(io: T) -> Self {
        Self {
            io,
            first: First::FromServer,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }
}

impl First {
    /// The content types of RFC 8446, section 5.1.
    fn check(self, bytes: &[u8]) -> Result<(), NotTls> {
        let Some(first) = bytes.first() else { return Ok(()) };
        match (self, first) {
            (Self::Seen, _) | (_, 22) | (Self::FromServer, 21) => Ok(()),
            (Self::FromClient, _) if is_http1(bytes) => Err(NotTls::Http1),
            _ => Err(NotTls::Other),
        }
    }
}

/// Whether a method and a space come first, and not the preface of HTTP/2.
fn is_http1(bytes: &[u8]) -> bool {
    let method = bytes
        .iter()
        .position(|byte| *byte == b' ')
        .map(|end| &bytes[..end]);
    method.is_some_and(|method| {
        !method.is_empty() && method != b"PRI" && method.iter().all(u8::is_ascii_uppercase)
    })
}

impl<T: Socket> AsyncRead for Sniff<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if this.first != First::Seen {
            let bytes = &buf.filled()[before..];
            this.first
                .check(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if !bytes.is_empty() {
                this.first = First::Seen;
            }
        }
        Poll::Ready(Ok(()))
    }
}

writes_inner!(impl [T: Socket] for Sniff<T>: |this| Pin::new(&mut this.get_mut().io));
