//! A server that says everything back, as an app of axum.

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
};

/// The largest message that it takes. The largest of the Autobahn cases have 16 MiB.
const LARGEST: usize = 32 << 20;

/// Says back every message, and answers pings and closes as axum does.
pub fn app() -> Router {
    Router::new().fallback(|upgrade: WebSocketUpgrade| async { answer(upgrade) })
}

/// The answer to a handshake.
pub fn answer(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(LARGEST)
        .max_frame_size(LARGEST)
        .on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}
