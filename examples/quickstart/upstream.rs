//! The server behind the agent: it knows nothing of tunnels.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{
        Path,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::header,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::sleep;

/// How many events `/events` sends.
pub(crate) const EVENTS: u32 = 5;

/// The time between two events.
const EVENT_INTERVAL: Duration = Duration::from_millis(100);

/// The pieces of `/bytes`.
const PIECE: usize = 16 * 1024;

pub(crate) fn app() -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello from behind the tunnel\n" }))
        .route("/echo", post(|body: Body| async { body }))
        .route("/bytes/{count}", get(bytes))
        .route("/events", get(events))
        .route("/socket", any(socket))
}

/// A WebSocket that says everything back.
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(repeat)
}

async fn repeat(mut socket: WebSocket) {
    // The socket answers pings and the close by itself.
    while let Some(Ok(message)) = socket.recv().await {
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// So many bytes, in pieces, without a length ahead.
async fn bytes(Path(count): Path<usize>) -> Body {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::unfold(count, move |left| {
        let data = piece.slice(..left.min(PIECE));
        async move { (left > 0).then(|| (Ok::<_, Infallible>(data.clone()), left - data.len())) }
    });
    Body::from_stream(pieces)
}

/// Server-sent events, one after the other.
async fn events() -> Response {
    let body = Body::from_stream(ticks());
    (
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        body,
    )
        .into_response()
}

fn ticks() -> impl Stream<Item = Result<String, Infallible>> + Send + 'static {
    stream::unfold(1, |number| async move {
        if number > EVENTS {
            return None;
        }
        if number > 1 {
            sleep(EVENT_INTERVAL).await;
        }
        Some((Ok(format!("event: tick\ndata: {number}\n\n")), number + 1))
    })
}
