//! Streams that outlive the credentials that opened them.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use axum::{Router, body::Body, extract::ws::WebSocketUpgrade, response::Response, routing::get};
use bytes::Bytes;
use http::{Request, header};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tunnel_core::{
    Principal,
    auth::{AuthParts, Authenticator as _, BoxAuthenticator, auth_fn},
};
use tunnel_layers::auth::AuthLayer;
use tunnel_tests::{
    client::{Client, Version},
    wait::within_limit,
    websocket::{Frame as WsFrame, echo, handshake, open},
};

use crate::world::{World, everything};

/// How long credentials are good: long enough for a head on a busy machine.
const GOOD_FOR: Duration = Duration::from_secs(3);

/// One piece, and then nothing until it is let go, which it tells.
struct Endless {
    piece: Option<Bytes>,
    gone: mpsc::Sender<()>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.gone.try_send(());
    }
}

fn app(gone: mpsc::Sender<()>) -> Router {
    let stream = async move |request: Request<Body>| {
        let piece = Some(Bytes::from_static(b"piece"));
        let mut answer = Response::new(Body::new(Endless { piece, gone }));
        if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
            answer.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
        }
        answer
    };
    let socket = async |upgrade: WebSocketUpgrade| echo::answer(upgrade);
    Router::new()
        .route("/socket", get(socket).connect(socket))
        .fallback(stream)
}

fn guard() -> AuthLayer<BoxAuthenticator> {
    let check = auth_fn(async |_: AuthParts| {
        Ok(Principal::new("alice", "test").with_expiry(SystemTime::now() + GOOD_FOR))
    });
    AuthLayer::new(check.boxed()).end_at_expiry(Duration::ZERO)
}

async fn plain(world: &World, version: Version) {
    let mut answer = Client::connect(version, world.addr).await.get("/stream").await;
    assert_eq!(answer.status(), 200, "{version:?}");
    let first = answer.frame().await.expect("a piece").expect("a piece");
    assert_eq!(first.into_data().expect("data"), "piece");
    let next = answer.frame().await.expect("it does not end like a whole one");
    assert!(next.is_err(), "{version:?}: {next:?}");
}

async fn call(world: &World) {
    let request = Request::post("/pkg.Service/Method").header(header::CONTENT_TYPE, "application/grpc");
    let request = request.body(Body::empty()).expect("a request");
    let mut client = Client::connect(Version::Http2, world.addr).await;
    let answer = client.send(request).await.expect("a response");
    let whole = answer.into_body().collect().await.expect("it ends in order");
    let trailers = whole.trailers().expect("trailers").clone();
    assert_eq!(whole.to_bytes(), "piece");
    assert_eq!(trailers["grpc-status"], "16");
    assert_eq!(trailers["grpc-message"], "the credentials expired");
}

async fn socket(world: &World, version: Version) {
    let (_, mut peer) = open(version, world.addr, handshake("/socket")).await.upgraded();
    peer.send(&WsFrame::text("hello")).await;
    assert_eq!(peer.recv().await, WsFrame::text("hello"));
    let close = peer.recv().await;
    assert_eq!(
        close,
        WsFrame::close(1008, "the credentials expired"),
        "{version:?}"
    );
    peer.send(&WsFrame::close(1008, "")).await;
    peer.ended().await;
}

#[tokio::test]
async fn what_outlives_its_credentials_ends_in_every_protocol() {
    within_limit(async {
        let (gone, mut left) = mpsc::channel(3);
        let world = World::guarded(guard(), everything(), app(gone)).await;
        tokio::join!(
            plain(&world, Version::Http1),
            plain(&world, Version::Http2),
            call(&world),
            socket(&world, Version::Http1),
            socket(&world, Version::Http2),
        );
        // The app has let go of all three streams.
        for _ in 0..3 {
            left.recv().await.expect("a stream is let go");
        }
    })
    .await;
}
