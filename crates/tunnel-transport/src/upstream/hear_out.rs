//! The answer of an upstream that closes under a request which is still being written.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose reader has the last word.
///
/// A server may answer before it has read the request, 413 for instance, and close; writing then fails while its answer
/// waits to be read. hyper would drop the answer for the failure. Here a write to a closed connection waits for ever, and
/// the reader gets the answer, or else learns that there is none.
#[pin_project]
#[derive(Debug)]
pub(super) struct HearOut<T> {
    #[pin]
    io: T,
    /// The upstream takes nothing more.
    is_deaf: bool,
}

impl<T> HearOut<T> {
    pub(super) const fn new(io: T) -> Self {
        Self { io, is_deaf: false }
    }

    pub(super) fn into_inner(self) -> T {
        self.io
    }
}

impl<T: AsyncWrite> HearOut<T> {
    fn write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        if *this.is_deaf {
            return Poll::Pending;
        }
        match ready!(write(this.io, cx)) {
            Err(error) if is_closed(&error) => {
                *this.is_deaf = true;
                // The reader is asked once more, and from then on by its own readiness.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

impl<T: AsyncRead> AsyncRead for HearOut<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<T: AsyncWrite> AsyncWrite for HearOut<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_test::{assert_pending, task};

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_the_end_is_heard() {
        let (mut upstream, ours) = duplex(64);
        let mut ours = HearOut::new(ours);
        upstream.write_all(b"413").await.unwrap();
        drop(upstream);
        let mut write = task::spawn(async {
            let _ = ours.write(b"body").await;
        });
        assert_pending!(write.poll());
        assert!(write.is_woken(), "to read");
        assert_pending!(write.poll());
        drop(write);
        let mut said = String::new();
        ours.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "413");
    }
}
