//! Outside clients: one connection of HTTP/1.1 or HTTP/2, or a bare socket.

use std::net::SocketAddr;

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The HTTP of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// One connection of an outside client. It is closed when the value is dropped.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    addr: SocketAddr,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn connect(version: Version, addr: SocketAddr) -> Self {
        let io = TokioIo::new(connect(addr).await);
        let sender = match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(io).await.expect("a connection of HTTP/1.1");
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
                    .await
                    .expect("a connection of HTTP/2");
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Self { sender, addr }
    }

    /// Which HTTP it speaks.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::Http1,
            Sender::Http2(_) => Version::Http2,
        }
    }

    /// A second client on the same connection of HTTP/2.
    ///
    /// # Panics
    ///
    /// With HTTP/1.1.
    #[must_use]
    pub fn share(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else {
            panic!("a connection of HTTP/1.1 is not shared")
        };
        Self {
            sender: Sender::Http2(sender.clone()),
            addr: self.addr,
        }
    }

    /// Sends a request and waits for the head of its response. A target without an authority is sent to that of the `host`
    /// field, or else to this connection's address.
    ///
    /// # Errors
    ///
    /// What hyper says.
    pub async fn send(&mut self, mut request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        if request.uri().authority().is_none() {
            self.place(&mut request);
        }
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    fn place(&self, request: &mut Request<Body>) {
        let addr = self.addr.to_string();
        match self.version() {
            Version::Http1 => {
                let host = HeaderValue::try_from(addr).expect("an address is a value");
                request.headers_mut().entry(header::HOST).or_insert(host);
            }
            Version::Http2 => {
                let host = request.headers_mut().remove(header::HOST);
                let authority = host.map_or(addr, |host| host.to_str().expect("a host").to_owned());
                let mut uri = request.uri().clone().into_parts();
                uri.scheme = Some(http::uri::Scheme::HTTP);
                uri.authority = Some(authority.parse().expect("an authority"));
                *request.uri_mut() = Uri::from_parts(uri).expect("a target");
            }
        }
    }

    /// Sends a GET without a body.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub async fn get(&mut self, target: &str) -> Response<Incoming> {
        let request = Request::get(target).body(Body::empty()).expect("a request");
        self.send(request).await.expect("a response")
    }
}

/// A socket that speaks HTTP/1.1 as the test wants it.
#[derive(Debug)]
pub struct RawClient {
    /// The socket.
    pub socket: TcpStream,
    read: BytesMut,
}

/// A response with its body, as a [`RawClient`] read it.
#[derive(Debug)]
pub struct RawResponse {
    /// The status.
    pub status: StatusCode,
    /// The fields, in the order in which they came.
    pub headers: HeaderMap,
    /// The content.
    pub body: Bytes,
    /// The trailers.
    pub trailers: HeaderMap,
}

impl RawClient {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self {
            socket: connect(addr).await,
            read: BytesMut::new(),
        }
    }

    /// Writes these bytes.
    ///
    /// # Panics
    ///
    /// When the socket is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket
            .write_all(bytes.as_ref())
            .await
            .expect("the socket takes bytes");
    }

    /// Writes a request, and reads the response to it.
    pub async fn call(&mut self, request: impl AsRef<[u8]>) -> RawResponse {
        self.send(request).await;
        self.response().await
    }

    /// Reads a head, that of an interim response too.
    ///
    /// # Panics
    ///
    /// When what comes is no head of HTTP/1.1.
    pub async fn head(&mut self) -> (StatusCode, HeaderMap) {
        let line = self.line().await;
        let mut words = line.splitn(3, |byte| *byte == b' ');
        assert_eq!(words.next(), Some(&b"HTTP/1.1"[..]), "{line:?}");
        let status = words
            .next()
            .and_then(|status| StatusCode::from_bytes(status).ok());
        (status.expect("a status"), self.fields().await)
    }

    /// Reads a final response to anything but HEAD, with its content and its trailers.
    ///
    /// # Panics
    ///
    /// When what comes is no response of HTTP/1.1, or breaks off.
    pub async fn response(&mut self) -> RawResponse {
        let head = self.head().await;
        assert!(!head.0.is_informational(), "{}", head.0);
        self.content(head).await
    }

    /// The same, after any number of interim responses.
    ///
    /// # Panics
    ///
    /// As [`response`](Self::response).
    pub async fn final_response(&mut self) -> RawResponse {
        loop {
            let head = self.head().await;
            if !head.0.is_informational() {
                return self.content(head).await;
            }
        }
    }

    /// The content of a final response whose head was read.
    pub(crate) async fn content(&mut self, (status, headers): (StatusCode, HeaderMap)) -> RawResponse {
        let mut trailers = HeaderMap::new();
        let body = if headers.contains_key(header::TRANSFER_ENCODING) {
            let body = self.chunked().await;
            trailers = self.fields().await;
            body
        } else {
            let length = headers
                .get(header::CONTENT_LENGTH)
                .and_then(|length| length.to_str().ok()?.parse().ok());
            self.exactly(length.unwrap_or(0)).await
        };
        RawResponse {
            status,
            headers,
            body,
            trailers,
        }
    }

    /// The socket, and what was read from it and not taken.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.socket, self.read)
    }

    /// Asserts that the other end closes the connection, and sends nothing before that.
    ///
    /// # Panics
    ///
    /// When bytes come.
    pub async fn closed(&mut self) {
        assert_eq!(self.read, "", "no more bytes");
        let read = self.socket.read_buf(&mut self.read).await;
        assert!(
            matches!(read, Ok(0) | Err(_)),
            "the other end closes: {:?}",
            self.read
        );
    }

    async fn chunked(&mut self) -> Bytes {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await;
            let size = std::str::from_utf8(&line)
                .ok()
                .and_then(|line| usize::from_str_radix(line, 16).ok());
            match size.expect("the size of a chunk") {
                0 => return body.freeze(),
                size => body.extend_from_slice(&self.exactly(size).await),
            }
            assert_eq!(self.line().await, "");
        }
    }

    async fn fields(&mut self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return fields;
            }
            let colon = line.iter().position(|byte| *byte == b':').expect("a field");
            let name = HeaderName::from_bytes(&line[..colon]).expect("a name");
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).expect("a value");
            fields.append(name, value);
        }
    }

    async fn line(&mut self) -> Bytes {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.read.split_to(end).freeze();
                self.read.advance(2);
                return line;
            }
            self.more().await;
        }
    }

    async fn exactly(&mut self, len: usize) -> Bytes {
        while self.read.len() < len {
            self.more().await;
        }
        self.read.split_to(len).freeze()
    }

    async fn more(&mut self) {
        let read = self
            .socket
            .read_buf(&mut self.read)
            .await
            .expect("the connection is not broken");
        assert_ne!(read, 0, "the connection ended after {:?}", self.read);
    }
}

async fn connect(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(addr).await.expect("somebody listens");
    socket.set_nodelay(true).expect("a fresh socket");
    socket
}
