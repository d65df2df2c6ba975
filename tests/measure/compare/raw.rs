//! A client of HTTP/1.1 that sees every byte when it comes.

use std::{io, net::SocketAddr};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::targets::AUTHORIZATION;

/// A connection on which a GET was sent.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    /// What has come, and was not taken.
    pub(crate) buffer: BytesMut,
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(to).await?)
    }

    /// The same with a receive buffer of 16 KiB, so that whoever sends soon has to wait, and does not keep a processor from who
    /// would read the first byte.
    pub(crate) async fn connect_narrow(to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(16 << 10)?;
        Self::new(socket.connect(to).await?)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::new(),
        })
    }

    /// Asks for a path.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<()> {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: bench.example\r\nauthorization: {AUTHORIZATION}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await
    }

    /// Reads to the end of the head, and gives the status.
    pub(crate) async fn head(&mut self) -> io::Result<u16> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = self.buffer.split_to(end + 4);
        let status = std::str::from_utf8(&head)
            .ok()
            .and_then(|head| head.get(9..12)?.parse().ok());
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Reads what comes next.
    pub(crate) async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads the first byte behind the head, which has to be that of a 200.
    pub(crate) async fn first_byte(&mut self) -> io::Result<()> {
        match self.head().await? {
            200 => {}
            status => return Err(io::Error::other(format!("status {status}"))),
        }
        while self.buffer.is_empty() {
            self.more().await?;
        }
        Ok(())
    }
}

/// The status of one GET.
pub(crate) async fn status(to: SocketAddr, path: &str) -> io::Result<u16> {
    let mut raw = Raw::connect(to).await?;
    raw.get(path).await?;
    raw.head().await
}
