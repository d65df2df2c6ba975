//! A WebSocket through the gateway to the upstream, which says everything back.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tunnel_core::BoxError;
use tunnel_examples::client::{Socket, websocket};

use crate::demo::{expect, line, millis};

/// Small messages, each sent when the one before it is back.
const ROUND_TRIPS: u32 = 1_000;

/// Size of the large message, in bytes.
const LARGE: usize = 1 << 20;

pub(crate) async fn run(gateway: SocketAddr) -> Result<(), BoxError> {
    let start = Instant::now();
    let mut socket = websocket(gateway, "/app/socket").await?;
    show(
        "WebSocket /app/socket",
        0,
        start.elapsed(),
        "the handshake, with the upstream's answer",
    );
    round_trips(&mut socket).await?;
    large(&mut socket).await?;
    close(socket).await
}

async fn round_trips(socket: &mut Socket) -> Result<(), BoxError> {
    let (start, mut bytes) = (Instant::now(), 0);
    for number in 1..=ROUND_TRIPS {
        let sent = Message::text(format!("message {number}"));
        let back = exchange(socket, sent.clone()).await?;
        bytes += back.len();
        expect(back == sent, "the message that was sent")?;
    }
    let took = start.elapsed();
    let each = took.as_secs_f64() * 1_000.0 / f64::from(ROUND_TRIPS);
    let note = format!("one after the other, {each:.3} ms each");
    show(&format!("{ROUND_TRIPS} x a small message"), bytes, took, &note);
    Ok(())
}

async fn large(socket: &mut Socket) -> Result<(), BoxError> {
    let start = Instant::now();
    let bytes: Vec<u8> = (0..LARGE).map(|index| (index % 251) as u8).collect();
    let sent = Message::Binary(Bytes::from(bytes));
    let back = exchange(socket, sent.clone()).await?;
    show(
        "a message of 1 MiB",
        back.len(),
        start.elapsed(),
        "there and back, each time one frame",
    );
    expect(back == sent, "the bytes that were sent")
}

async fn close(mut socket: Socket) -> Result<(), BoxError> {
    let start = Instant::now();
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "seen enough".into(),
    };
    let back = exchange(&mut socket, Message::Close(Some(frame.clone()))).await?;
    let expected = Message::Close(Some(frame));
    let note = match &back {
        Message::Close(Some(frame)) => format!("code {} and its reason came back", u16::from(frame.code)),
        _ => "no close came back".to_owned(),
    };
    show("a close", back.len(), start.elapsed(), &note);
    expect(back == expected, "the close that was sent")
}

async fn exchange(socket: &mut Socket, message: Message) -> Result<Message, BoxError> {
    socket.send(message).await?;
    Ok(socket.next().await.ok_or("the socket ended too early")??)
}

fn show(what: &str, bytes: usize, took: Duration, note: &str) {
    line(what, "101", bytes, millis(took), note);
}
