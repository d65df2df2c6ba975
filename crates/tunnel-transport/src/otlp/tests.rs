use std::time::SystemTime;

use tokio::{net::TcpSocket, time::Instant};
use tunnel_core::trace::{SpanKind, SpanStatus};

use super::*;

fn span() -> SpanRecord {
    SpanRecord {
        trace_id: 1,
        span_id: 2,
        parent_id: None,
        parent_is_remote: false,
        kind: SpanKind::Internal,
        name: "step".into(),
        start: SystemTime::UNIX_EPOCH,
        end: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        status: SpanStatus::Unset,
    }
}

/// A port at which nobody listens, for as long as the socket is kept.
fn closed_port() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let uri = format!("http://{}", socket.local_addr().unwrap());
    (socket, uri)
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
    let (_kept, uri) = closed_port();
    let otlp = Otlp::builder(uri)
        .queue(2)
        .timeout(Duration::from_millis(200))
        .start()
        .unwrap();
    for _ in 0..10 {
        otlp.record(span());
    }
    assert_eq!(otlp.dropped(), 8);
    assert!(otlp.flush(Duration::from_secs(30)).await, "it was tried");
    assert_eq!((otlp.sent(), otlp.dropped()), (0, 10));
    assert!(format!("{otlp:?}").contains("dropped: 10"));
}

#[tokio::test]
async fn a_flush_has_a_bound() {
    // It takes the connection, and says nothing.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let uri = format!("http://{}", silent.local_addr().unwrap());
    let otlp = Otlp::builder(uri).start().unwrap();
    otlp.record(span());
    let start = Instant::now();
    assert!(!otlp.flush(Duration::from_millis(50)).await);
    assert!(start.elapsed() < DEFAULT_TIMEOUT / 2);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let error = Otlp::builder("http://not an address").start().unwrap_err();
    assert_eq!(error.to_string(), "traces cannot be exported");
    assert!(error.source().is_some());
    #[cfg(feature = "tls")]
    Otlp::builder("https://collector.example:4317").start().unwrap();
}
