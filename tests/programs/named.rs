//! An upstream that programs are sent to: it says its name, and echoes what WebSockets say.

use axum::{
    Router,
    extract::ws::{WebSocket, WebSocketUpgrade},
    routing::{any, get},
};
use futures_util::{SinkExt as _, StreamExt as _};
use tunnel_examples::client::{Socket, tungstenite::Message};
use tunnel_tests::origin::Origin;

/// It says `name` to every request, and echoes at `/socket`.
pub(crate) async fn origin(name: &'static str) -> Origin {
    let echo = |mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let _ = socket.send(message).await;
        }
    };
    let app = Router::new()
        .route(
            "/socket",
            any(move |upgrade: WebSocketUpgrade| async move { upgrade.on_upgrade(echo) }),
        )
        .fallback(get(move || async move { name }));
    Origin::http1(app).await
}

/// Whether the other end of a WebSocket answers.
pub(crate) async fn echoes(socket: &mut Socket, text: &str) -> bool {
    socket.send(Message::text(text)).await.is_ok()
        && matches!(socket.next().await, Some(Ok(answer)) if answer == Message::text(text))
}
