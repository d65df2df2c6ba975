use std::{
    io::{self, ErrorKind},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Bare,
    head::{self, Answer},
};

/// What is read at once: an answer that is longer is for hyper.
const READ: usize = 16 * 1024;

/// One exchange on a connection that nothing else uses.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::upstream) struct Brief {
    has_begun: bool,
    /// Bytes of the request that were written.
    written: usize,
    /// Whether the upstream takes nothing more. It may have answered before it closed.
    is_deaf: bool,
}

/// What came of it.
pub(in crate::upstream) enum Ended {
    /// All of the answer.
    Whole(http::Response<Bytes>),
    /// hyper has to read the answer, which begins with this.
    Begun(Bytes),
    /// The connection was over before anything was written.
    Unsent,
    Broken(io::Error),
}

impl Brief {
    /// Goes on with `request` on this connection. Nobody else may have used that meanwhile.
    pub(in crate::upstream) fn poll<B>(
        &mut self,
        bare: &mut Bare,
        request: &Request<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        if self.has_begun && !bare.bell.is_cut() {
            // Whoever was woken finds all of it, as a rule, and need not be woken again.
            if let Some(ended) = self.go_on(bare, request) {
                return Poll::Ready(ended);
            }
        }
        if bare.bell.hand_to(Some(cx.waker())) {
            return Poll::Ready(Ended::Broken(ErrorKind::ConnectionAborted.into()));
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            if bare.is_last || bare.bell.has_rung() && bare.is_over() {
                return Poll::Ready(Ended::Unsent);
            }
            bare.is_last = head::put(&mut bare.out, request);
            if let Err(error) = self.write(bare) {
                return Poll::Ready(Ended::Broken(error));
            }
            if !self.is_deaf {
                // The socket knows the bell.
                return Poll::Pending;
            }
        }
        // What has come before the bell knew whom to wake.
        self.go_on(bare, request).map_or(Poll::Pending, Poll::Ready)
    }

    /// Writes and reads as much as goes now.
    fn go_on<B>(&mut self, bare: &mut Bare, request: &Request<B>) -> Option<Ended> {
        if let Err(error) = self.write(bare) {
            return Some(Ended::Broken(error));
        }
        match bare.read() {
            Poll::Pending => None,
            Poll::Ready(Err(error)) => Some(Ended::Broken(error)),
            Poll::Ready(Ok(bytes)) => Some(self.judge(bytes, bare, request)),
        }
    }

    /// Writes as much as goes now.
    fn write(&mut self, bare: &mut Bare) -> io::Result<()> {
        let Bare { io, waker, out, .. } = bare;
        let mut cx = Context::from_waker(waker);
        while self.written < out.len() && !self.is_deaf {
            match Pin::new(&mut *io).poll_write(&mut cx, &out[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(more)) => self.written += more,
                Poll::Ready(Err(error)) if is_closed(&error) => self.is_deaf = true,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.is_deaf
            && let Poll::Ready(Err(error)) = Pin::new(io).poll_flush(&mut cx)
        {
            if !is_closed(&error) {
                return Err(error);
            }
            self.is_deaf = true;
        }
        Ok(())
    }

    fn judge<B>(&self, bytes: Bytes, bare: &mut Bare, request: &Request<B>) -> Ended {
        let is_written = self.written == bare.out.len() && !self.is_deaf;
        match head::read(bytes, request.method()) {
            Ok(Answer { response, is_last }) => {
                bare.is_last |= is_last || !is_written;
                Ended::Whole(response)
            }
            Err(bytes) if is_written || self.is_deaf => Ended::Begun(bytes),
            // An answer to half of a head, and not even a plain one.
            Err(_) => Ended::Broken(ErrorKind::InvalidData.into()),
        }
    }
}

impl Bare {
    /// What is there now.
    fn read(&mut self) -> Poll<io::Result<Bytes>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut buf = ReadBuf::uninit(&mut space);
        let mut cx = Context::from_waker(&self.waker);
        ready!(Pin::new(&mut self.io).poll_read(&mut cx, &mut buf))?;
        Poll::Ready(match buf.filled() {
            [] => Err(ErrorKind::UnexpectedEof.into()),
            bytes => Ok(Bytes::copy_from_slice(bytes)),
        })
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}
