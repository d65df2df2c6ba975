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

/// So few bytes are copied together, which takes less than the kernel takes to gather them: most answers are, and most of what the
/// tunnel writes.
const FEW: usize = 1024;

/// The bytes of all in `room`, if they are few.
fn gather<'a>(bufs: &[io::IoSlice<'_>], room: &'a mut [u8; FEW]) -> Option<&'a [u8]> {
    let mut end = 0;
    for buf in bufs {
        room.get_mut(end..end + buf.len())?.copy_from_slice(buf);
        end += buf.len();
    }
    Some(&room[..end])
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
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        if let Some(few) = gather(bufs, &mut [0; FEW]) {
            return self.poll_write(cx, few);
        }
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

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn few_bytes_and_many_come_out_in_order() {
        let (mut far, near) = duplex(64 * 1024);
        let mut near = MaybeTls::Plain(near);
        let many = [3; FEW];
        let lists: [&[&[u8]]; 5] = [
            &[b"one"],
            &[b"a", b"", b"bc"],
            &[b"de", &many],
            &[&many],
            &[b"f", b"g"],
        ];
        for list in lists {
            let whole = list.concat();
            let mut written = 0;
            while written < whole.len() {
                let mut bufs: Vec<_> = list.iter().map(|buf| IoSlice::new(buf)).collect();
                let mut left = &mut bufs[..];
                IoSlice::advance_slices(&mut left, written);
                written += near.write_vectored(left).await.unwrap();
            }
            let mut read = vec![0; whole.len()];
            far.read_exact(&mut read).await.unwrap();
            assert_eq!(read, whole);
        }
    }

    #[test]
    fn few_is_all_that_is_gathered() {
        let mut room = [0; FEW];
        let half = [1; FEW / 2];
        let all = [IoSlice::new(&half), IoSlice::new(&half)];
        assert_eq!(gather(&all, &mut room).map(<[u8]>::len), Some(FEW));
        let more = [IoSlice::new(&half), IoSlice::new(&half), IoSlice::new(&[1])];
        assert_eq!(gather(&more, &mut room), None);
    }
}
