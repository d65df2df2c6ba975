//! A client that goes through the cases of a fuzzing server: it says everything back.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};
use tunnel_tests::{
    client::Version,
    websocket::{Wire, handshake, open},
};

const AGENT: &str = "tunnel-tests";

/// Opens a WebSocket, as the version of HTTP has it.
async fn connect(near: Version, addr: SocketAddr, path: &str) -> WebSocketStream<Wire> {
    let (wire, read) = open(near, addr, handshake(path)).await.upgraded().1.into_parts();
    let config = WebSocketConfig::default()
        .max_message_size(Some(32 << 20))
        .max_frame_size(Some(32 << 20));
    WebSocketStream::from_partially_read(wire, read.to_vec(), Role::Client, Some(config)).await
}

/// Runs every case, and asks for the reports.
pub(super) async fn run(near: Version, addr: SocketAddr) {
    let mut socket = connect(near, addr, "/getCaseCount").await;
    let count = socket.next().await.expect("the count").expect("a message");
    let count: usize = count
        .to_text()
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("a number");
    drain(socket).await;
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={AGENT}");
        echo(connect(near, addr, &path).await).await;
    }
    drain(connect(near, addr, &format!("/updateReports?agent={AGENT}")).await).await;
}

async fn echo(mut socket: WebSocketStream<Wire>) {
    // Cases end in errors on purpose.
    while let Some(Ok(message)) = socket.next().await {
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            break;
        }
    }
    end(socket).await;
}

/// Reads what comes until the server has closed.
async fn drain(mut socket: WebSocketStream<Wire>) {
    while let Some(Ok(_)) = socket.next().await {}
    end(socket).await;
}

/// Ends the connection after what was sent, where a drop would take back what HTTP/2 has not written yet.
async fn end(mut socket: WebSocketStream<Wire>) {
    let wire = socket.get_mut();
    // It may have been broken by the other end.
    if wire.shutdown().await.is_ok() {
        let _ = tokio::io::copy(wire, &mut tokio::io::sink()).await;
    }
}
