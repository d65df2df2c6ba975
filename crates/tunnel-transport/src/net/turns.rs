use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::{windows::TUNNEL_TURN, writes_inner};

/// How much a task may read from a connection before others have their turn.
///
/// HTTP/2's codec reads as long as there is something. On one thread, all that the other end may send would then be in memory before the
/// first byte of it goes on: twice through a cache that it does not fit into, with pages that the allocator takes from the system and
/// gives back each time.
#[derive(Debug)]
pub(crate) struct Turn {
    limit: usize,
    taken: usize,
}

impl Turn {
    /// A turn of the tunnel's connection.
    pub(crate) const fn of_tunnel() -> Self {
        Self {
            limit: TUNNEL_TURN,
            taken: 0,
        }
    }

    /// A turn that has no end.
    pub(crate) const fn endless() -> Self {
        Self {
            limit: usize::MAX,
            taken: 0,
        }
    }

    /// Polls `read`. When the turn is over it is pending instead, and the task is woken for the next one.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        read: impl FnOnce(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if self.taken >= self.limit {
            self.taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = read(cx, buf);
        self.taken = match polled {
            Poll::Ready(_) => self.taken.saturating_add(buf.filled().len() - before),
            Poll::Pending => 0,
        };
        polled
    }
}

/// A connection that is read in turns.
#[pin_project]
#[derive(Debug)]
pub(crate) struct InTurns<T> {
    #[pin]
    io: T,
    turn: Turn,
}

impl<T> InTurns<T> {
    pub(crate) const fn new(io: T) -> Self {
        Self {
            io,
            turn: Turn::of_tunnel(),
        }
    }
}

impl<T: AsyncRead> AsyncRead for InTurns<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.turn.poll_read(cx, buf, |cx, buf| this.io.poll_read(cx, buf))
    }
}

writes_inner!(impl [T: AsyncWrite] for InTurns<T>: |this| this.project().io);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[tokio::test]
    async fn a_turn_ends_and_the_next_one_follows() {
        let (mut far, near) = duplex(4 * TUNNEL_TURN);
        far.write_all(&vec![7; 2 * TUNNEL_TURN + 1]).await.unwrap();
        let mut near = InTurns::new(near);
        let mut bytes = vec![0; TUNNEL_TURN];
        for _ in 0..2 {
            assert_ready!(task::spawn(near.read_exact(&mut bytes)).poll()).unwrap();
            let mut next = task::spawn(near.read(&mut bytes));
            assert_pending!(next.poll());
            assert!(next.is_woken(), "there is more");
        }
        assert_eq!(near.read(&mut bytes).await.unwrap(), 1);
        // Who has waited begins anew.
        assert_pending!(task::spawn(near.read(&mut bytes)).poll());
        far.write_all(&vec![7; TUNNEL_TURN]).await.unwrap();
        assert_ready!(task::spawn(near.read_exact(&mut bytes)).poll()).unwrap();
    }
}
