use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::net::Socket;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a connection must end with a failure that the peer can see.
#[derive(Clone, Debug, Default)]
pub(super) struct AbortFlag(Arc<AtomicBool>);

impl AbortFlag {
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether the client of a connection is watched while its codec does not read: HTTP/1.1 until it is upgraded. hyper reads
/// nothing while it serves a request and has the next one already, so it would not see that the client left.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchFlag(Arc<AtomicBool>);

impl WatchFlag {
    pub(super) fn set(&self, watched: bool) {
        self.0.store(watched, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a connection holds for its whole life, upgraded streams included.
pub(super) struct Held {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _tracked: TaskTrackerToken,
}

/// The socket of an entry's connection: a deadline until the client has shown its version, and RST instead of FIN when
/// the flag is raised.
pub(super) struct EntryIo<T: Socket> {
    socket: T,
    version: Version,
    abort: AbortFlag,
    watch: WatchFlag,
    _held: Option<Held>,
}

/// hyper-util tells the versions apart by the client's first bytes, and no timer of hyper's runs before that.
enum Version {
    Unknown {
        matched: usize,
        deadline: Pin<Box<Sleep>>,
    },
    Known,
}

impl<T: Socket> EntryIo<T> {
    pub(super) fn new(socket: T, timeout: Duration, abort: AbortFlag, held: Option<Held>) -> Self {
        let version = Version::Unknown {
            matched: 0,
            deadline: Box::pin(sleep(timeout)),
        };
        Self {
            socket,
            version,
            abort,
            watch: WatchFlag::default(),
            _held: held,
        }
    }

    /// Looks at this flag whenever the codec writes or flushes, which it does each time it is polled.
    pub(super) fn watched(mut self, watch: WatchFlag) -> Self {
        self.watch = watch;
        self
    }

    /// An error if the client is watched and has left.
    fn check_left(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.watch.is_set() && self.socket.poll_left(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Version {
    fn see(&mut self, bytes: &[u8]) {
        let Self::Unknown { matched, .. } = self else {
            return;
        };
        let rest = &PREFACE[*matched..];
        if bytes.len() >= rest.len() || !rest.starts_with(bytes) {
            *self = Self::Known;
        } else {
            *matched += bytes.len();
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Unknown { deadline, .. } => deadline.as_mut().poll(cx),
            Self::Known => Poll::Pending,
        }
    }
}

impl<T: Socket> AsyncRead for EntryIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Ready(result) => {
                this.version.see(&buf.filled()[before..]);
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.version.poll_expired(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: Socket> AsyncWrite for EntryIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        if written.is_pending() {
            self.check_left(cx)?;
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        if written.is_pending() {
            self.check_left(cx)?;
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_left(cx)?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.abort.is_raised() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<T: Socket> Drop for EntryIo<T> {
    fn drop(&mut self) {
        if self.abort.is_raised() {
            self.socket.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair() -> (DuplexStream, EntryIo<DuplexStream>) {
        let (client, server) = duplex(64);
        (
            client,
            EntryIo::new(server, Duration::from_secs(10), AbortFlag::default(), None),
        )
    }

    async fn timed_out(io: &mut EntryIo<DuplexStream>) -> bool {
        let read = tokio::time::timeout(Duration::from_secs(60), io.read(&mut [0; 64])).await;
        matches!(read, Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_half_a_preface_time_out() {
        let (_client, mut io) = pair();
        assert!(timed_out(&mut io).await);

        let (mut client, mut io) = pair();
        client.write_all(&PREFACE[..10]).await.unwrap();
        io.read_exact(&mut [0; 10]).await.unwrap();
        assert!(timed_out(&mut io).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_version_ends_the_deadline() {
        for first in [&b"P"[..], &PREFACE[..4]] {
            let (mut client, mut io) = pair();
            client.write_all(first).await.unwrap();
            io.read_exact(&mut [0; 4][..first.len()]).await.unwrap();
            let rest = if first.len() == 1 {
                &b"OST"[..]
            } else {
                &PREFACE[4..]
            };
            client.write_all(rest).await.unwrap();
            io.read_exact(&mut vec![0; rest.len()]).await.unwrap();
            assert!(!timed_out(&mut io).await);
        }
    }
}
