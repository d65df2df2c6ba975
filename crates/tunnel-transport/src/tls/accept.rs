use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ProtocolVersion, ServerConfig};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tunnel_core::TlsIdentity;

use crate::{
    net::Socket,
    tls::{
        sniff::{NotTls, Sniff},
        x509,
    },
};

/// How long a client whose handshake failed may take to hang up.
const LINGER: Duration = Duration::from_secs(1);

/// What is said to a client that speaks HTTP/1 to a port that speaks TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\ncontent-length: 44\r\nconnection: close\r\n\r\n\
    This port speaks TLS: use https, not http.\r\n";

/// What an entry found out about a connection's TLS, for logs. It stands in the request's extensions beside the
/// [`TlsIdentity`] of a client that showed a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The name that the client asked for (SNI).
    pub server_name: Option<Arc<str>>,
    /// The common name in the subject of the client's certificate. Only to be shown: it is no name to authenticate by (RFC
    /// 9525, section 2), and any CA may put anything there.
    pub client_common_name: Option<Arc<str>>,
}

/// Does a server's handshake; a client that speaks plain HTTP/1 is told so. Dropping the future gives the connection up.
pub(crate) async fn accept<T: Socket>(
    config: Arc<ServerConfig>,
    socket: T,
) -> io::Result<(TlsStream<Sniff<T>>, TlsInfo, Option<TlsIdentity>)> {
    let accepting = TlsAcceptor::from(config).accept(Sniff::at_server(socket));
    let stream = match accepting.into_fallible().await {
        Ok(stream) => stream,
        Err((error, mut socket)) => {
            if NotTls::find(&error) == Some(NotTls::Http1) {
                socket.write_all(PLAIN_HTTP).await?;
            }
            // Whatever becomes of it, the error is the one that there was first.
            let _ = timeout(LINGER, hear_out(socket.get_mut())).await;
            return Err(error);
        }
    };
    let connection = stream.get_ref().1;
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    let (identity, common_name) = match shown.map(x509::identity).transpose() {
        Ok(shown) => shown.unzip(),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let info = TlsInfo {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        server_name: connection.server_name().map(Into::into),
        client_common_name: common_name.flatten().map(Into::into),
    };
    Ok((TlsStream::Server(stream), info, identity))
}

/// Ends our direction, and reads until the client ends its own: closing over what nobody has read would be a reset, which may
/// overtake the alert that says what was wrong.
async fn hear_out<T: Socket>(socket: &mut T) -> io::Result<()> {
    socket.shutdown().await?;
    let mut unwanted = [0; 1024];
    while socket.read(&mut unwanted).await? > 0 {}
    Ok(())
}

/// [`Socket::poll_left`] of a connection with TLS: what comes is decrypted to find the end, and kept for the reader.
pub(crate) fn poll_left<T: Socket>(stream: &mut TlsStream<Sniff<T>>, cx: &mut Context<'_>) -> Poll<()> {
    let TlsStream::Server(stream) = stream else {
        return Poll::Pending;
    };
    let (io, connection) = stream.get_mut();
    loop {
        match connection.process_new_packets() {
            // What is behind them does not show, as on a plain socket.
            Ok(state) if state.plaintext_bytes_to_read() > 0 => return Poll::Pending,
            Ok(state) if state.peer_has_closed() => return Poll::Ready(()),
            Ok(_) => {}
            Err(_) => return Poll::Ready(()),
        }
        if !connection.wants_read() {
            return Poll::Pending;
        }
        match connection.read_tls(&mut Reader { io, cx }) {
            Ok(0) => return Poll::Ready(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(_) => return Poll::Ready(()),
        }
    }
}

/// An asynchronous reader as rustls wants it.
struct Reader<'a, 'b, T> {
    io: &'a mut T,
    cx: &'a mut Context<'b>,
}

impl<T: AsyncRead + Unpin> io::Read for Reader<'_, '_, T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
    }
}
