//! The entry in front of small services, with raw clients on pipes (paused time) and real sockets (RST, FIN).

mod faults;
mod http1;
mod http2;
mod slow;
mod stop;
#[cfg(feature = "tls")]
mod tls;
mod upgrade;

use std::{convert::Infallible, io};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower::util::BoxCloneSyncService;
use tunnel_core::{BoxError, PeerInfo};

use crate::{
    entry::{Entry, RequestBody},
    net::{Listener, bind},
};

type TestBody = UnsyncBoxBody<Bytes, BoxError>;
type App = BoxCloneSyncService<Request<RequestBody>, Response<TestBody>, BoxError>;

/// Accepts pipes instead of sockets, so that paused time works.
struct Pipes(mpsc::Receiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, PeerInfo)> {
        match self.0.recv().await {
            Some(pipe) => Ok((pipe, PeerInfo::unknown())),
            None => std::future::pending().await,
        }
    }
}

#[derive(Clone)]
struct Dialer(mpsc::Sender<DuplexStream>);

impl Dialer {
    async fn dial(&self) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        self.0.send(server).await.expect("the entry runs");
        client
    }
}

fn pipes() -> (Dialer, Pipes) {
    let (sender, receiver) = mpsc::channel(16);
    (Dialer(sender), Pipes(receiver))
}

fn listener() -> TcpListener {
    bind(([127, 0, 0, 1], 0).into(), 16).expect("a port is free")
}

/// An entry on a real socket, and a connection to it.
async fn connected(entry: Entry, app: App) -> TcpStream {
    let listener = listener();
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(entry.serve(listener, app).into_future());
    TcpStream::connect(addr).await.expect("the entry listens")
}

fn app<F, R>(handler: F) -> App
where
    F: Fn(Request<RequestBody>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<TestBody>, BoxError>> + Send + 'static,
{
    BoxCloneSyncService::new(tower::service_fn(handler))
}

fn text(text: impl Into<Bytes>) -> TestBody {
    let body = Full::new(text.into());
    body.map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn ok() -> App {
    app(|_| async { Ok(Response::new(text("ok"))) })
}

async fn to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(drop);
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

/// Reads until `mark` has come.
async fn until(stream: &mut (impl AsyncReadExt + Unpin), mark: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(mark) {
        text.push(char::from(stream.read_u8().await.expect("more bytes")));
    }
    text
}
