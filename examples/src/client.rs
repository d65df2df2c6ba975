//! A client on the outside: plain HTTP/1.1 to the gateway's port, and WebSocket.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpStream, time::Instant};
/// What a [`Socket`] carries.
pub use tokio_tungstenite::tungstenite;
use tokio_tungstenite::{WebSocketStream, client_async};
use tunnel_core::BoxError;

/// A WebSocket, on a connection of its own.
pub type Socket = WebSocketStream<TcpStream>;

/// Sends requests to one gateway, over connections that are kept.
#[derive(Clone, Debug)]
pub struct Client {
    inner: HyperClient<HttpConnector, Full<Bytes>>,
    gateway: SocketAddr,
}

/// A response that has come in full.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When each piece of the body came, from the start of the request.
    pub arrivals: Vec<Duration>,
    /// When the body ended.
    pub took: Duration,
}

impl Client {
    /// A client of the gateway with this address. It has no connection yet.
    #[must_use]
    pub fn new(gateway: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let inner = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { inner, gateway }
    }

    /// Sends a request, and waits for the end of the answer, which it keeps whole. Dropping the future gives the request up.
    ///
    /// # Errors
    ///
    /// There is no connection, or it broke before the answer was complete; `path` is none.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, BoxError> {
        let uri: Uri = format!("http://{}{path}", self.gateway).parse()?;
        let request = Request::builder().method(method).uri(uri).body(Full::new(body))?;
        let start = Instant::now();
        let (head, mut incoming) = self.inner.request(request).await?.into_parts();
        let (mut body, mut arrivals) = (BytesMut::new(), Vec::new());
        while let Some(frame) = incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                body.extend_from_slice(&data);
                arrivals.push(start.elapsed());
            }
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            arrivals,
            took: start.elapsed(),
        })
    }
}

/// Opens a WebSocket at the gateway's port, by `Upgrade` of HTTP/1.1.
///
/// # Errors
///
/// There is no connection, or the answer is no right handshake; `path` is none.
pub async fn websocket(gateway: SocketAddr, path: &str) -> Result<Socket, BoxError> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(format!("ws://{gateway}{path}"), stream).await?;
    Ok(socket)
}
