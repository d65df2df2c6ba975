//! A real HTTP server that answers what a test tells it to, and a real client for it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// What it answers: a status and a body.
pub(super) type Answer = (u16, String);

type Say = Box<dyn FnMut(&Request<Bytes>) -> Answer + Send>;

/// It stops when it is dropped.
pub(super) struct TestServer {
    pub(super) uri: Uri,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    calls: AtomicUsize,
    answer: Mutex<Say>,
    /// While it is held, nothing is answered.
    gate: tokio::sync::RwLock<()>,
    called: Notify,
}

impl TestServer {
    pub(super) async fn new(answer: impl FnMut(&Request<Bytes>) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/path", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            calls: AtomicUsize::new(0),
            answer: Mutex::new(Box::new(answer)),
            gate: tokio::sync::RwLock::new(()),
            called: Notify::new(),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self {
            uri: uri.parse().unwrap(),
            shared,
            task,
        }
    }

    /// Answers differently from now on.
    pub(super) fn set(&self, answer: impl FnMut(&Request<Bytes>) -> Answer + Send + 'static) {
        *self.shared.answer.lock().unwrap() = Box::new(answer);
    }

    pub(super) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Answers nothing until what this returns is dropped.
    pub(super) async fn hold(&self) -> impl Drop + '_ {
        self.shared.gate.write().await
    }

    /// Waits until a call has come since this was last waited for.
    pub(super) async fn called(&self) {
        self.shared.called.notified().await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(shared.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        connections.spawn(async move {
            let _ = connection.await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole request").to_bytes();
    shared.calls.fetch_add(1, Ordering::SeqCst);
    shared.called.notify_one();
    let _open = shared.gate.read().await;
    let (status, body) = (shared.answer.lock().unwrap())(&Request::from_parts(head, body));
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    Ok(response.body(Full::new(body.into())).expect("a valid response"))
}

pub(super) fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}
