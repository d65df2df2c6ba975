//! An HTTP/1.1 client that writes and reads bytes, and leaves as it is told to.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.expect("the entry listens"))
    }

    /// Connects, and asks for `path`.
    pub(crate) async fn get(addr: SocketAddr, path: &str) -> Self {
        let mut raw = Self::connect(addr).await;
        raw.send(&head("GET", path, "")).await;
        raw
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("the entry reads");
    }

    /// Reads a head to its empty line.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).expect("our heads are text")
    }

    /// Reads so many bytes.
    pub(crate) async fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        self.0.read_exact(&mut buffer).await.expect("more bytes");
        buffer
    }

    /// Reads until the connection ends, and says how.
    pub(crate) async fn read_to_end(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes).await.map(drop);
        (bytes, end)
    }

    /// Ends our direction; what comes is still read.
    pub(crate) async fn fin(&mut self) {
        self.0.shutdown().await.expect("the connection is open");
    }

    /// Breaks the connection.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().expect("the connection is open");
    }
}

/// The head of a request, with more fields (each with its line's end).
pub(crate) fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: demo.example\r\n{more}\r\n")
}
