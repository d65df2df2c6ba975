//! A client's handshake.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use h2::{client::SendRequest, ext::Protocol};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version as HttpVersion, header};
use tokio::{net::TcpStream, task::JoinSet};

use super::{H2Stream, Peer, Wire, accept_key};
use crate::{
    client::{RawClient, Version},
    wait::eventually,
};

/// The key that RFC 6455 has in its examples.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a handshake came to.
#[derive(Debug)]
pub enum Opened {
    /// The far end took it: its answer, and the connection.
    Upgraded(Response<()>, Peer),
    /// The far end answered with this.
    Refused(Response<Bytes>),
}

impl Opened {
    /// The answer and the connection.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn upgraded(self) -> (Response<()>, Peer) {
        match self {
            Self::Upgraded(head, peer) => (head, peer),
            Self::Refused(answer) => panic!("refused: {answer:?}"),
        }
    }

    /// The refusal.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn refused(self) -> Response<Bytes> {
        match self {
            Self::Upgraded(head, _) => panic!("not refused: {head:?}"),
            Self::Refused(answer) => answer,
        }
    }
}

/// A WebSocket handshake for `path`, to which a test can add fields. What the two versions of HTTP have each for itself is
/// added by [`open`].
///
/// # Panics
///
/// If `path` is none.
#[must_use]
pub fn handshake(path: &str) -> Request<()> {
    let request = Request::get(path).header(header::SEC_WEBSOCKET_VERSION, "13");
    request.body(()).expect("a request")
}

/// A request for `path` that asks for any other protocol. Over HTTP/2 it becomes an extended CONNECT for that one.
///
/// # Panics
///
/// If `path` or `protocol` is none.
#[must_use]
pub fn upgrade(path: &str, protocol: &str) -> Request<()> {
    let request = Request::get(path).header(header::UPGRADE, protocol);
    request.body(()).expect("a request")
}

/// Opens a connection, and on it a WebSocket.
///
/// # Panics
///
/// When the answer breaks off, or is not what its HTTP allows.
pub async fn open(version: Version, addr: SocketAddr, request: Request<()>) -> Opened {
    match version {
        Version::Http1 => open_http1(addr, &request).await,
        Version::Http2 => H2Client::connect(addr).await.open(request).await,
    }
}

async fn open_http1(addr: SocketAddr, request: &Request<()>) -> Opened {
    let mut client = RawClient::connect(addr).await;
    client.send(raw_handshake(addr, request)).await;
    let (status, headers) = client.head().await;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let answer = client.content((status, headers)).await;
        return Opened::Refused(respond(answer.status, answer.headers, answer.body));
    }
    let is_websocket = !request.headers().contains_key(header::UPGRADE);
    if is_websocket {
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
        let key = key.map_or(KEY, |key| key.to_str().expect("text"));
        assert_eq!(headers[header::SEC_WEBSOCKET_ACCEPT], accept_key(key));
        assert!(
            headers[header::UPGRADE]
                .as_bytes()
                .eq_ignore_ascii_case(b"websocket")
        );
    }
    assert!(
        headers[header::CONNECTION]
            .as_bytes()
            .eq_ignore_ascii_case(b"upgrade")
    );
    let (socket, read) = client.into_parts();
    let peer = Peer::client(Wire::Socket(socket), read);
    Opened::Upgraded(respond(status, headers, ()), peer)
}

/// Another key than the usual one; for HTTP/1.1 only.
///
/// # Panics
///
/// If it is no value of a field.
pub fn set_key(request: &mut Request<()>, key: &str) {
    let key = key.parse().expect("a value");
    request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key);
}

/// The head of a handshake, as it goes over HTTP/1.1.
#[must_use]
pub fn raw_handshake(addr: SocketAddr, request: &Request<()>) -> Vec<u8> {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nhost: {addr}\r\nconnection: Upgrade\r\n",
        request.uri()
    );
    let fields = request.headers();
    if !fields.contains_key(header::UPGRADE) {
        head.push_str("upgrade: websocket\r\n");
        if !fields.contains_key(header::SEC_WEBSOCKET_KEY) {
            head.push_str(&format!("sec-websocket-key: {KEY}\r\n"));
        }
    }
    let mut head = head.into_bytes();
    for (name, value) in fields {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn respond<B>(status: StatusCode, headers: HeaderMap, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A connection of HTTP/2, for any number of WebSockets. It is closed when it and all of them are dropped.
#[derive(Clone, Debug)]
pub struct H2Client {
    sender: SendRequest<Bytes>,
    addr: SocketAddr,
    connection: Arc<JoinSet<()>>,
}

impl H2Client {
    /// Connects, and waits until the server has said that it takes extended CONNECT.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    pub async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.expect("somebody listens");
        socket.set_nodelay(true).expect("a fresh socket");
        let (sender, connection) = h2::client::handshake(socket)
            .await
            .expect("a connection of HTTP/2");
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        eventually(|| sender.is_extended_connect_protocol_enabled()).await;
        Self {
            sender,
            addr,
            connection: Arc::new(task),
        }
    }

    /// Opens a WebSocket.
    ///
    /// # Panics
    ///
    /// When the stream is reset instead of an answer.
    pub async fn open(&self, request: Request<()>) -> Opened {
        let mut sender = self.sender.clone().ready().await.expect("the connection is open");
        let (answer, send) = sender
            .send_request(self.connect_request(request), false)
            .expect("an extended CONNECT");
        let (head, recv) = answer.await.expect("an answer").into_parts();
        if head.status == StatusCode::OK {
            assert!(
                !head.headers.contains_key(header::SEC_WEBSOCKET_ACCEPT),
                "{head:?}"
            );
            let stream = H2Stream::new(send, recv, Arc::clone(&self.connection));
            let peer = Peer::client(Wire::Stream(stream), BytesMut::new());
            return Opened::Upgraded(Response::from_parts(head, ()), peer);
        }
        Opened::Refused(Response::from_parts(head, all(recv).await))
    }

    fn connect_request(&self, request: Request<()>) -> Request<()> {
        let (mut parts, ()) = request.into_parts();
        let uri = format!("http://{}{}", self.addr, parts.uri);
        parts.uri = uri.parse().expect("an address and a path");
        parts.method = Method::CONNECT;
        parts.version = HttpVersion::HTTP_2;
        let protocol = parts.headers.remove(header::UPGRADE);
        let protocol = protocol
            .as_ref()
            .map_or("websocket", |name| name.to_str().expect("text"));
        parts.extensions.insert(Protocol::from(protocol));
        Request::from_parts(parts, ())
    }
}

async fn all(mut recv: h2::RecvStream) -> Bytes {
    let mut body = BytesMut::new();
    while let Some(data) = recv.data().await {
        let data = data.expect("the body does not break off");
        recv.flow_control()
            .release_capacity(data.len())
            .expect("it was received");
        body.extend_from_slice(&data);
    }
    body.freeze()
}
