use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::net::Socket;

/// What dials instead of TCP. Boxed, because a connection is made seldom.
type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

type Dial = dyn Fn(String, u16) -> Dialing + Send + Sync;

/// A function that makes connections in the place of TCP: over another transport, through a proxy, or in a simulated network.
///
/// It is called with a name or an address (without brackets) and a port. Who calls it has a timeout and drops the future then; name
/// look-ups and socket options are left to the function, and TLS is not: it runs over what the function gives.
#[derive(Clone)]
pub struct Dialer(Arc<Dial>);

impl Dialer {
    /// Dials by this function.
    pub fn new<F, Fut, Io>(dial: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Io>> + Send + 'static,
        Io: Socket,
    {
        Self(Arc::new(move |host, port| {
            let dialling = dial(host, port);
            Box::pin(async move { Ok(Box::new(dialling.await?) as Box<dyn Socket>) })
        }))
    }

    pub(crate) async fn dial(&self, host: &str, port: u16) -> io::Result<Wire> {
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        (self.0)(host.to_owned(), port).await.map(Wire::Other)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// A connection that was dialled: one type, so that what speaks HTTP on it is compiled once.
pub(crate) enum Wire {
    Tcp(TcpStream),
    Other(Box<dyn Socket>),
}

/// Calls the same method of either.
macro_rules! either {
    ($this:expr, $io:ident => $call:expr) => {
        match $this {
            Wire::Tcp($io) => $call,
            Wire::Other($io) => {
                let $io = &mut **$io;
                $call
            }
        }
    };
}

impl Socket for Wire {
    fn abort(&mut self) {
        either!(self, io => io.abort());
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        either!(self, io => io.poll_left(cx))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut *self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Other(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, io => Pin::new(io).poll_shutdown(cx))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Other(_) => "Other",
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_function_is_asked_for_the_connection() {
        let dialer = Dialer::new(|host, port| async move {
            let (ours, mut theirs) = duplex(64);
            theirs.write_all(format!("{host} {port}").as_bytes()).await?;
            Ok(ours)
        });
        let mut wire = dialer.dial("[::1]", 7).await.expect("it has no error");
        let mut text = String::new();
        wire.read_to_string(&mut text)
            .await
            .expect("the other end is dropped");
        assert_eq!(text, "::1 7");
    }

    #[tokio::test]
    async fn its_error_is_the_error() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let dialer = Dialer::new(move |_, _| async move { Err::<TcpStream, _>(refused()) });
        let error = dialer.dial("a", 1).await.expect_err("it fails");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
