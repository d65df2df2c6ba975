//! How hyper takes over in the middle of an exchange.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which a request without a body was written before, and what was read of the answer.
///
/// Whoever has it writes the request once more, into nothing, and then reads the answer from its beginning. Behind that it is the
/// connection itself.
#[pin_project]
#[derive(Debug)]
pub(in crate::upstream) struct Replay<T> {
    #[pin]
    io: T,
    /// Empty when the connection is where its user is.
    answer: Bytes,
    is_asked: bool,
}

impl<T> Replay<T> {
    /// A connection that begins with the next request.
    pub(in crate::upstream) const fn none(io: T) -> Self {
        Self::new(io, Bytes::new())
    }

    /// One of which `answer` was read.
    pub(in crate::upstream) const fn new(io: T, answer: Bytes) -> Self {
        let is_asked = false;
        Self { io, answer, is_asked }
    }

    pub(in crate::upstream) fn into_inner(self) -> T {
        self.io
    }
}

impl<T: AsyncRead> AsyncRead for Replay<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if this.answer.is_empty() {
            return this.io.poll_read(cx, buf);
        }
        if !*this.is_asked {
            // The write wakes the task.
            return Poll::Pending;
        }
        let piece = this.answer.len().min(buf.remaining());
        buf.put_slice(&this.answer[..piece]);
        this.answer.advance(piece);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite> AsyncWrite for Replay<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        if this.answer.is_empty() {
            return match bufs {
                [buf] => this.io.poll_write(cx, buf),
                bufs => this.io.poll_write_vectored(cx, bufs),
            };
        }
        if !std::mem::replace(this.is_asked, true) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
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
    async fn the_answer_comes_behind_the_request_which_goes_nowhere() {
        let (mut upstream, ours) = duplex(64);
        let mut ours = Replay::new(ours, Bytes::from_static(b"abc"));
        upstream.write_all(b"def").await.unwrap();
        let mut early = task::spawn(async { ours.read_u8().await.unwrap() });
        assert_pending!(early.poll());
        drop(early);
        ours.write_all(b"request").await.unwrap();
        let mut read = [0; 6];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abcdef");
        ours.write_all(b"next").await.unwrap();
        let mut written = [0; 4];
        upstream.read_exact(&mut written).await.unwrap();
        assert_eq!(&written, b"next");
    }
}
