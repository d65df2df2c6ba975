//! Clients that are slow, on real sockets. When they are closed is tested where time stands still, beside the entry itself.

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;

use crate::{
    frame::{END_HEADERS, END_STREAM, HEADERS, POST, PREFACE, frame, hello, post},
    world::{PORTS, World, bare, to_end},
};

/// The client sends these bytes and then nothing, and must be closed, on each port.
async fn is_closed(alpn: &'static str, sent: &[u8]) {
    let world = World::new().await;
    // There is no handshake for HTTP/1.1 on the port for agents.
    let ports = PORTS
        .into_iter()
        .filter(|port| alpn == "h2" || port.is_outside() || !port.is_tls());
    let attacks = ports.map(async |port| {
        let mut connection = world.connect(port, alpn).await;
        // It may be closed before it is written.
        let _ = connection.write_all(sent).await;
        let _ = connection.flush().await;
        to_end(&mut connection).await;
    });
    world.survives(join_all(attacks)).await;
}

macro_rules! is_closed {
    ($($name:ident: $alpn:literal, $sent:expr;)+) => { $(
        #[tokio::test]
        async fn $name() {
            is_closed($alpn, $sent).await;
        }
    )+ };
}

is_closed! {
    silence_after_the_connection: "h2", b"";
    silence_of_http1: "http/1.1", b"";
    half_a_request_line: "http/1.1", b"GET / HT";
    half_a_head: "http/1.1", b"GET / HTTP/1.1\r\nhost: a\r\nx:";
    half_a_body: "http/1.1", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nab";
    half_a_chunk: "http/1.1", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab";
    an_idle_connection: "http/1.1", b"GET /fast HTTP/1.1\r\nhost: a\r\n\r\n";
    half_a_preface: "h2", &PREFACE[..9];
    a_preface_without_settings: "h2", PREFACE;
    silence_after_the_settings: "h2", &hello();
    half_a_frame: "h2", &[&hello()[..], &post(1)[..11]].concat();
    a_head_without_its_end: "h2", &[&hello()[..], &frame(HEADERS, END_STREAM, 1, POST)].concat();
    half_a_body_of_http2: "h2", &[&hello()[..], &frame(HEADERS, END_HEADERS, 1, POST)].concat();
}

#[tokio::test]
async fn silence_before_and_in_a_handshake() {
    let world = World::new().await;
    let attacks = [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"].map(async |sent| {
        for port in PORTS.into_iter().filter(|port| port.is_tls()) {
            let mut socket = bare(world.addr(port)).await;
            socket.write_all(sent).await.expect("it is open");
            to_end(&mut socket).await;
        }
    });
    world.survives(join_all(attacks)).await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing() {
    let world = World::new().await;
    for port in PORTS {
        if !port.is_outside() {
            // Nothing there answers at length.
            continue;
        }
        let mut connection = world.connect(port, "http/1.1").await;
        connection
            .write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .expect("it is open");
        // `survives` waits until the exchange is over, and this end still has not read a byte.
        world.survives(async {}).await;
        drop(connection);
    }
}
