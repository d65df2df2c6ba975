//! What agents serve here.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{State, ws::WebSocketUpgrade},
    response::Response as AppResponse,
    routing::{any, get, post},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tunnel_tests::websocket::echo;

/// The body of `/app/ok`.
pub(crate) const HELLO: &str = "hello";

/// Requests that are stuck in the app, now, by their paths.
#[derive(Clone, Default)]
pub(crate) struct Stuck(Arc<Mutex<Vec<String>>>);

impl Stuck {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0
            .lock()
            .expect("nobody panics")
            .iter()
            .any(|stuck| stuck == path)
    }
}

struct Leaves(Stuck, String);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0
            .0
            .lock()
            .expect("nobody panics")
            .retain(|stuck| *stuck != self.1);
    }
}

/// Below `/app` plain HTTP and WebSocket, below `/pkg.Greeter` gRPC; whatever stands behind the second part is for the reader of logs.
pub(crate) fn app(stuck: Stuck) -> Router {
    Router::new()
        .route("/app/ok/{*rest}", get(|| async { HELLO }))
        .route("/app/echo/{*rest}", post(|body: Bytes| async { body }))
        .route(
            "/app/fail/{*rest}",
            get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route("/app/stuck/{*rest}", get(wait))
        .route("/app/broken/{*rest}", get(|| async { broken() }))
        .route("/app/ws/{*rest}", any(socket))
        .route(
            "/pkg.Greeter/Say",
            post(|body: Bytes| async { called(body, "0") }),
        )
        .route(
            "/pkg.Greeter/Fail",
            post(|body: Bytes| async { called(body, "5") }),
        )
        .with_state(stuck)
}

async fn wait(State(stuck): State<Stuck>, uri: Uri) -> &'static str {
    let path = uri.path().to_owned();
    stuck.0.lock().expect("nobody panics").push(path.clone());
    let _leaves = Leaves(stuck, path);
    std::future::pending().await
}

async fn socket(upgrade: WebSocketUpgrade) -> AppResponse {
    echo::answer(upgrade)
}

/// A body that ends before its end, when so much of it has been read that the head is known everywhere.
fn broken() -> Response<Body> {
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    let pieces = stream::repeat(piece).take(16).map(|piece| Ok(Frame::data(piece)));
    let end = stream::once(async { Err("the app breaks off") });
    Response::new(Body::new(StreamBody::new(pieces.chain(end))))
}

/// A call of gRPC says its message back, and ends with this status.
fn called(body: Bytes, status: &'static str) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [
        Ok::<_, Infallible>(Frame::data(body)),
        Ok(Frame::trailers(trailers)),
    ];
    let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}
