//! The socket of a connection to an upstream, and how many of them are open.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::net::{Socket, Wire};

/// A connected socket. It counts as an open connection until it is dropped, whoever has it by then.
pub(crate) struct Line {
    socket: Kind,
    _open: Open,
}

pub(super) enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    /// What a [`Dialer`](crate::net::Dialer) has made.
    Other(Box<dyn Socket>),
}

impl From<Wire> for Kind {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Tcp(stream) => Self::Tcp(stream),
            Wire::Other(socket) => Self::Other(socket),
        }
    }
}

/// How many connections are open.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenCount {
    here: Arc<AtomicUsize>,
    /// Where these count, too.
    all: Option<Arc<AtomicUsize>>,
}

#[derive(Debug)]
struct Open(OpenCount);

impl OpenCount {
    pub(super) fn get(&self) -> usize {
        self.here.load(Ordering::Acquire)
    }

    /// A count of some of them.
    pub(super) fn part(&self) -> Self {
        Self {
            here: Arc::default(),
            all: Some(Arc::clone(&self.here)),
        }
    }

    fn each(&self) -> impl Iterator<Item = &AtomicUsize> {
        std::iter::once(&*self.here).chain(self.all.as_deref())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for count in self.0.each() {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Line {
    pub(super) fn new(socket: Kind, count: &OpenCount) -> Self {
        for count in count.each() {
            count.fetch_add(1, Ordering::AcqRel);
        }
        Self {
            socket,
            _open: Open(count.clone()),
        }
    }
}

macro_rules! either {
    ($this:expr, $io:ident => $call:expr) => {
        match &mut $this.socket {
            Kind::Tcp($io) => $call,
            #[cfg(unix)]
            Kind::Unix($io) => $call,
            Kind::Other($io) => {
                let $io = &mut **$io;
                $call
            }
        }
    };
}

impl Socket for Line {
    fn abort(&mut self) {
        match &mut self.socket {
            Kind::Tcp(stream) => stream.abort(),
            // A drop is all that a peer on the same machine can see.
            #[cfg(unix)]
            Kind::Unix(_) => {}
            Kind::Other(socket) => socket.abort(),
        }
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.socket {
            Kind::Tcp(stream) => stream.poll_left(cx),
            #[cfg(unix)]
            Kind::Unix(_) => Poll::Pending,
            Kind::Other(socket) => socket.poll_left(cx),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Kind::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.is_write_vectored(),
            Kind::Other(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
