//! A handshake as the far end sees it.

use axum::{Router, body::Body, response::Response};
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Peer, Wire};

/// The answer to a key of a handshake (RFC 6455, section 4.2.2).
#[must_use]
pub fn accept_key(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

/// A request that has come to the far end, and waits for its answer.
#[derive(Debug)]
pub struct Arrived {
    /// The request.
    pub request: Request<()>,
    far: Far,
}

#[derive(Debug)]
enum Far {
    Socket(TcpStream, BytesMut),
    App(oneshot::Sender<Response>, OnUpgrade),
}

/// A connection over which a server with a socket has answered with a refusal.
#[derive(Debug)]
pub struct Refused(TcpStream, BytesMut);

impl Arrived {
    /// The fields that a server answers a WebSocket's handshake with.
    ///
    /// # Panics
    ///
    /// When it was none.
    #[must_use]
    pub fn answer(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if self.request.method() == Method::CONNECT {
            return fields;
        }
        let key = self.request.headers()[header::SEC_WEBSOCKET_KEY].to_str();
        let accept = accept_key(key.expect("a key is text"));
        let value = |text: &str| text.parse().expect("a value");
        fields.insert(header::UPGRADE, value("websocket"));
        fields.insert(header::CONNECTION, value("Upgrade"));
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, value(&accept));
        fields
    }

    /// Takes the WebSocket.
    pub async fn accept(self) -> Peer {
        self.accept_with(&[]).await
    }

    /// Takes the WebSocket, with these fields in the answer.
    ///
    /// # Panics
    ///
    /// When it was no handshake.
    pub async fn accept_with(self, more: &[(&'static str, &str)]) -> Peer {
        let mut fields = self.answer();
        for (name, value) in more {
            fields.append(HeaderName::from_static(name), value.parse().expect("a value"));
        }
        self.switch(fields).await
    }

    /// Answers that the protocol changes, with just these fields.
    ///
    /// # Panics
    ///
    /// When the other end is gone.
    pub async fn switch(self, fields: HeaderMap) -> Peer {
        let status = match *self.request.method() {
            Method::CONNECT => StatusCode::OK,
            _ => StatusCode::SWITCHING_PROTOCOLS,
        };
        match self.far {
            Far::Socket(mut socket, read) => {
                write(&mut socket, status, &fields, "").await;
                Peer::server(Wire::Socket(socket), read)
            }
            Far::App(answer, upgrade) => {
                answer
                    .send(response(status, fields, ""))
                    .expect("the server is there");
                let io = upgrade.await.expect("the connection changes");
                Peer::server(Wire::Upgraded(TokioIo::new(io)), BytesMut::new())
            }
        }
    }

    /// Answers with an error and a body, and would go on with the connection where there is one.
    ///
    /// # Panics
    ///
    /// When the other end is gone.
    pub async fn refuse(self, status: StatusCode, body: &'static str) -> Option<Refused> {
        let mut fields = HeaderMap::new();
        fields.insert("x-reason", "because".parse().expect("a value"));
        match self.far {
            Far::Socket(mut socket, read) => {
                fields.insert(header::CONTENT_LENGTH, body.len().into());
                write(&mut socket, status, &fields, body).await;
                Some(Refused(socket, read))
            }
            Far::App(answer, _) => {
                answer
                    .send(response(status, fields, body))
                    .expect("the server is there");
                None
            }
        }
    }

    /// Whether the other end is gone; for an app that has not answered.
    pub async fn abandoned(&mut self) {
        match &mut self.far {
            Far::Socket(socket, read) => {
                let read = socket.read_buf(read).await;
                assert!(matches!(read, Ok(0) | Err(_)), "the connection ends: {read:?}");
            }
            Far::App(answer, _) => answer.closed().await,
        }
    }
}

impl Refused {
    /// Asserts that the other end closes the connection, and sends nothing on it.
    ///
    /// # Panics
    ///
    /// When bytes come.
    pub async fn closed(mut self) {
        let read = self.0.read_buf(&mut self.1).await;
        assert!(
            matches!(read, Ok(0) | Err(_)),
            "the connection ends: {:?}",
            self.1
        );
        assert_eq!(self.1, "", "nothing more came");
    }
}

fn response(status: StatusCode, fields: HeaderMap, body: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

async fn write(socket: &mut TcpStream, status: StatusCode, fields: &HeaderMap, body: &str) {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    socket.write_all(&bytes).await.expect("the other end is there");
}

/// An app that tells of every request, and answers what the test says. A request that the test drops is answered with 500.
pub fn app(arrivals: mpsc::Sender<Arrived>) -> Router {
    crate::origin::app(move |mut request| {
        let arrivals = arrivals.clone();
        async move {
            let upgrade = hyper::upgrade::on(&mut request);
            let (answer, answered) = oneshot::channel();
            let (parts, _) = request.into_parts();
            let arrived = Arrived {
                request: Request::from_parts(parts, ()),
                far: Far::App(answer, upgrade),
            };
            // A test that does not look at it may be gone.
            let _ = arrivals.send(arrived).await;
            answered
                .await
                .unwrap_or_else(|_| response(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), "dropped"))
        }
    })
}

/// The window of a stream of HTTP/2, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Serves the app over HTTP/2 with extended CONNECT.
pub async fn serve_h2(listener: TcpListener, app: Router) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).expect("a fresh socket");
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .enable_connect_protocol()
            // A stream that nobody reads takes a small part of what all of them share.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(64 * STREAM_WINDOW)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(app.clone()));
        connections.spawn(async move { drop(connection.await) });
    }
}

/// Reads one request from every socket, and tells of it.
pub async fn serve_sockets(listener: TcpListener, arrivals: mpsc::Sender<Arrived>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let arrivals = arrivals.clone();
        connections.spawn(async move {
            if let Some(arrived) = read(socket).await {
                // A test that does not look at it may be gone.
                let _ = arrivals.send(arrived).await;
            }
        });
    }
}

async fn read(mut socket: TcpStream) -> Option<Arrived> {
    socket.set_nodelay(true).expect("a fresh socket");
    let mut bytes = BytesMut::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = bytes.split_to(end + 4);
    Some(Arrived {
        request: parse(std::str::from_utf8(&head).expect("text")),
        far: Far::Socket(socket, bytes),
    })
}

fn parse(head: &str) -> Request<()> {
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default();
    let mut request = Request::builder().method(word()).uri(word());
    assert_eq!(word(), "HTTP/1.1");
    for line in lines {
        let (name, value) = line.split_once(':').expect("a field");
        request = request.header(name, value.trim());
    }
    request.body(()).expect("a request")
}
