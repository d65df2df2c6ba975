use std::{future::poll_fn, io, task::Poll, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::{Instant, timeout},
};
use tokio_rustls::TlsStream;

use super::*;
use crate::{
    net::{MaybeTls, Socket},
    tls::{Alpn, Sniff, accept},
};

type Stream = TlsStream<Sniff<DuplexStream>>;

/// Both ends of a connection.
async fn connected(made: &Made) -> (Stream, MaybeTls<DuplexStream>) {
    let (near, far) = duplex(64 * 1024);
    let (server, client) = (made.server(), made.client());
    let (accepted, dialled) = tokio::join!(
        accept(server.config(Alpn::Either), far),
        client.connect("a.test", Alpn::Http1, near)
    );
    let (stream, _, identity) = accepted.expect("a handshake");
    assert_eq!(identity, None);
    (dialled.expect("a handshake"), MaybeTls::Tls(Box::new(stream)))
}

async fn has_left(server: &mut MaybeTls<DuplexStream>) -> bool {
    poll_fn(|cx| Poll::Ready(server.poll_left(cx).is_ready())).await
}

#[tokio::test]
async fn a_client_that_ends_its_direction_has_left() {
    let (mut client, mut server) = connected(&Made::new("a.test")).await;
    assert!(!has_left(&mut server).await);
    client.write_all(b"last words").await.expect("a reader");
    client.shutdown().await.expect("a reader");
    assert!(!has_left(&mut server).await, "there is something to read");
    let mut words = [0; 10];
    server.read_exact(&mut words).await.expect("it was sent");
    assert_eq!(&words, b"last words");
    assert!(has_left(&mut server).await);
    assert_eq!(server.read(&mut words).await.expect("a good end"), 0);
}

#[tokio::test]
async fn a_client_that_breaks_off_has_left() {
    let (client, mut server) = connected(&Made::new("a.test")).await;
    drop(client);
    assert!(has_left(&mut server).await);
    let error = server.read(&mut [0; 1]).await.expect_err("no close_notify came");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn looking_for_the_end_wakes_who_waits() {
    let (mut client, mut server) = connected(&Made::new("a.test")).await;
    let waiting = poll_fn(|cx| server.poll_left(cx));
    let leaving = async {
        tokio::task::yield_now().await;
        client.shutdown().await.expect("a reader");
    };
    tokio::join!(waiting, leaving);
}

#[tokio::test]
async fn what_was_seen_meanwhile_is_still_read() {
    let (mut client, mut server) = connected(&Made::new("a.test")).await;
    for round in 0..100_u8 {
        client.write_all(&[round; 700]).await.expect("a reader");
        client.flush().await.expect("a reader");
        assert!(!has_left(&mut server).await);
        let mut bytes = [0; 700];
        server.read_exact(&mut bytes).await.expect("it was sent");
        assert_eq!(bytes, [round; 700]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_handshake_waits_a_second_at_most_for_the_client_to_hang_up() {
    let made = Made::new("a.test");
    let (mut near, far) = duplex(1024);
    near.write_all(b"hello").await.expect("room");
    let start = Instant::now();
    let error = accept(made.server().config(Alpn::Either), far)
        .await
        .expect_err("no TLS");
    assert_eq!(error.to_string(), "the other side does not speak TLS");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(
        near.read(&mut [0; 1]).await.expect("a good end"),
        0,
        "it got nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_silent_server_as_long_as_it_is_let() {
    let (near, _far) = duplex(1024);
    let client = Made::new("a.test").client();
    let connecting = client.connect("a.test", Alpn::Http2, near);
    assert!(timeout(Duration::from_secs(60), connecting).await.is_err());
}
