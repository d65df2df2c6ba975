//! Upstream servers, and what they saw.

use std::net::SocketAddr;

use axum::{Router, body::Body, extract::Request, response::IntoResponse as _};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Collected};
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use crate::tunnel::{address, listener};

/// A hyper server on a port of its own. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Origin {
    /// A server of HTTP/1.1, which upgrades connections where the app does.
    pub async fn http1(app: Router) -> Self {
        Self::start(move |socket| {
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), TowerToHyperService::new(app.clone()))
                .with_upgrades();
            async move { drop(connection.await) }
        })
        .await
    }

    /// A server of HTTP/2 without TLS.
    pub async fn h2c(app: Router) -> Self {
        Self::start(move |socket| {
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), TowerToHyperService::new(app.clone()));
            async move { drop(connection.await) }
        })
        .await
    }

    /// The URI of this server.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("http://{}", self.addr)
    }

    async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listener().await;
        let addr = address(&listener);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, serve));
        Self { addr, _tasks: tasks }
    }
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).expect("a fresh socket");
        connections.spawn(serve(socket));
    }
}

/// The requests that an app got, in the order in which it had read them to their end.
#[derive(Debug)]
pub struct Seen(mpsc::Receiver<http::Request<Collected<Bytes>>>);

impl Seen {
    /// The next one.
    ///
    /// # Panics
    ///
    /// When the app is gone.
    pub async fn next(&mut self) -> http::Request<Collected<Bytes>> {
        self.0.recv().await.expect("the app is there")
    }

    /// The fields of the next one.
    pub async fn headers(&mut self) -> HeaderMap {
        self.next().await.into_parts().0.headers
    }

    /// Asserts that none came.
    ///
    /// # Panics
    ///
    /// When one did.
    pub fn assert_none(&mut self) {
        assert!(self.0.try_recv().is_err(), "the app was asked");
    }
}

/// An app that reads every request to its end, tells of it, and answers 200 with `answer`.
pub fn recorder(answer: &'static str) -> (Router, Seen) {
    let (sender, receiver) = mpsc::channel(64);
    let app = app(move |request| {
        let sender = sender.clone();
        async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await else {
                return Response::new(Body::from("broken"));
            };
            // A test that does not look at it may be gone.
            let _ = sender.send(http::Request::from_parts(parts, body)).await;
            answer.into_response()
        }
    });
    (app, Seen(receiver))
}

/// An app of one function, for every method and path.
pub fn app<F, Fut>(handler: F) -> Router
where
    F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send,
{
    Router::new().fallback(handler)
}
