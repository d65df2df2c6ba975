//! A connection within this process, which can break off like one of TCP.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tokio::io::{AsyncRead, DuplexStream, ReadBuf, duplex};

use crate::net::{Socket, writes_inner};

/// One end. Dropped after an [abort](Socket::abort), it fails the other end's reads where they would find the end.
#[pin_project]
pub(super) struct Pipe {
    #[pin]
    io: DuplexStream,
    is_broken: Arc<AtomicBool>,
}

/// Both ends; each direction stores at most so many bytes.
pub(super) fn pipe(bytes: usize) -> (Pipe, Pipe) {
    let (near, far) = duplex(bytes);
    let is_broken = Arc::new(AtomicBool::new(false));
    let end = |io| Pipe {
        io,
        is_broken: Arc::clone(&is_broken),
    };
    (end(near), end(far))
}

impl Socket for Pipe {
    fn abort(&mut self) {
        self.is_broken.store(true, Ordering::Release);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.remaining();
        ready!(this.io.poll_read(cx, buf))?;
        let is_end = before > 0 && buf.remaining() == before;
        if is_end && this.is_broken.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

writes_inner!(impl [] for Pipe: |this| this.project().io);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn an_end_is_an_end() {
        let (mut near, mut far) = pipe(16);
        near.write_all(b"last").await.unwrap();
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"last");
    }

    #[tokio::test]
    async fn what_breaks_off_fails_after_what_came_before() {
        let (mut near, mut far) = pipe(16);
        near.write_all(b"last").await.unwrap();
        near.abort();
        drop(near);
        let mut all = Vec::new();
        let error = far.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(
            (error.kind(), &all[..]),
            (io::ErrorKind::ConnectionReset, &b"last"[..])
        );
    }

    #[tokio::test]
    async fn a_direction_that_has_ended_stays_so() {
        let (mut near, mut far) = pipe(16);
        near.shutdown().await.unwrap();
        assert_eq!(far.read(&mut [0; 4]).await.unwrap(), 0);
        far.write_all(b"on").await.unwrap();
        let mut on = [0; 2];
        near.read_exact(&mut on).await.unwrap();
        assert_eq!(&on, b"on");
    }
}
