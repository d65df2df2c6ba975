//! An axum app behind NAT: it has no listening port, and answers what its agent brings through the tunnel.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin custom_gateway    # in one terminal
//! cargo run -p tunnel-examples --bin axum_app          # in another
//! curl http://127.0.0.1:8080/hello/world
//! ```
//!
//! It has a WebSocket as well: `ws://127.0.0.1:8080/echo` says everything back.
//!
//! The gateway's address comes from `TUNNEL_GATEWAY`, the token, if the gateway wants one, from `TUNNEL_TOKEN`. Ctrl-C lets
//! open requests finish.

use axum::{
    Router,
    extract::{
        Path,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::HeaderMap,
    response::Response,
    routing::{any, get},
};
use tunnel_core::BoxError;
use tunnel_transport::Agent;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tunnel_examples::program::log("info");
    let gateway = std::env::var("TUNNEL_GATEWAY").unwrap_or_else(|_| "http://127.0.0.1:7000".to_owned());

    let app = Router::new()
        .route("/hello/{name}", get(hello))
        .route("/echo", any(echo));
    let agent = Agent::builder(&gateway).token_from_env().group("web").build()?;

    println!("serving the group `web` through {gateway}, without a port of its own");
    agent.serve(app).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

async fn hello(Path(name): Path<String>, headers: HeaderMap) -> String {
    let from = headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nowhere");
    format!("hello {name}, you come from {from}\n")
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
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

async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
