//! The forwarder in front of real servers on port 0: hyper for both versions, and scripted sockets for what hyper never does.

mod bare;
mod cancel;
mod connect;
mod drain;
mod faults;
mod flow;
mod health;
mod pool;
mod resolve;
mod settings;
mod several;
mod upgrade;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, channel::Channel, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tower::ServiceExt;
use tunnel_core::{BoxError, Cause, Sent, TunnelError};

use crate::{
    net::bind,
    upstream::{Upstream, UpstreamBody, UpstreamBuilder, UpstreamProtocol},
};

const BOTH: [UpstreamProtocol; 2] = [UpstreamProtocol::Http1, UpstreamProtocol::H2c];

type TestBody = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Result<Response<TestBody>, BoxError>;

/// A hyper server of both versions that counts its connections.
struct Origin {
    addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Origin {
    fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::with_streams(200, handler)
    }

    fn with_streams<F, R>(streams: u32, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        let (listener, addr) = listen();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http2().max_concurrent_streams(streams);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (server, handler) = (server.clone(), handler.clone());
                tokio::spawn(async move {
                    // Faults are what these tests are about.
                    let _ = server
                        .serve_connection(TokioIo::new(stream), service_fn(handler))
                        .await;
                });
            }
        });
        Self { addr, accepted }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn upstream(&self, protocol: UpstreamProtocol) -> Upstream {
        to(self.addr, protocol).build().expect("a valid address")
    }
}

fn to(addr: SocketAddr, protocol: UpstreamProtocol) -> UpstreamBuilder {
    Upstream::builder(format!("http://{addr}")).protocol(protocol)
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = bind(([127, 0, 0, 1], 0).into(), 128).expect("a port is free");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

/// An address that refuses connections for as long as the socket is kept: it is bound, so that nobody else gets the port, and does not
/// listen.
fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
    let addr = socket.local_addr().expect("bound");
    (socket, addr)
}

fn body(text: impl Into<Bytes>) -> TestBody {
    let body = Full::new(text.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// What is sent into the first comes out of the second.
fn streamed() -> (http_body_util::channel::Sender<Bytes, BoxError>, TestBody) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://out.example/path?query")
        .body(Empty::new())
        .expect("a valid request")
}

fn post(body: TestBody) -> Request<TestBody> {
    Request::post("http://out.example/path")
        .body(body)
        .expect("a valid request")
}

async fn text(response: Response<UpstreamBody>) -> String {
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn data(body: &mut UpstreamBody) -> Bytes {
    let frame = body.frame().await.expect("a frame").expect("no error");
    frame.into_data().expect("data")
}

/// Reads one head.
async fn head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.expect("more of the head")));
    }
    text
}

/// Once this is over, whatever other sockets of this process did before has been seen by the runtime, too: one round
/// through its driver.
async fn settle() {
    let (listener, addr) = listen();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let (mut near, (mut far, _)) = (near.unwrap(), far.unwrap());
    for _ in 0..3 {
        near.write_u8(1).await.unwrap();
        far.read_u8().await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// No test waits for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("in time")
}
