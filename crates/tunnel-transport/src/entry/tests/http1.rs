use std::time::Duration;

use axum::{Router, extract::Extension, routing::get};
use http::StatusCode;
use tokio::{io::AsyncWriteExt, time::Instant};

use super::*;

#[tokio::test]
async fn an_axum_router_fits_and_sees_the_peer() {
    async fn address(Extension(peer): Extension<PeerInfo>, request: axum::extract::Request) -> String {
        let stopping = request.extensions().get::<tunnel_core::upgrade::Stopping>();
        assert!(stopping.is_none(), "for streams only");
        peer.addr.expect("a socket has an address").to_string()
    }
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(address));
    tokio::spawn(Entry::new().serve(listener, router).into_future());

    let mut stream = TcpStream::connect(addr).await.unwrap();
    let expected = stream.local_addr().unwrap().to_string();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let (answer, end) = to_end(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(&expected),
        "{answer}"
    );
    end.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_a_slow_head_and_an_idle_connection_end_in_time() {
    let (dialer, pipes) = pipes();
    tokio::spawn(Entry::new().serve(pipes, ok()).into_future());
    let whole: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for (sent, seconds) in [
        (&b""[..], 10),
        (b"PR", 10),
        (b"PRI * HT", 5),
        (b"GET / HT", 10),
        (b"GET / HTTP/1.1\r\nhost:", 10),
        (whole, 10),
    ] {
        let mut pipe = dialer.dial().await;
        pipe.write_all(sent).await.unwrap();
        let start = Instant::now();
        let (answer, _) = to_end(&mut pipe).await;
        let took = start.elapsed();
        assert_eq!(answer.starts_with("HTTP/1.1 200"), sent == whole, "{answer}");
        assert_eq!(took.as_secs(), seconds, "{took:?} for {}", sent.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_above_our_limit_still_reaches_the_service() {
    let (dialer, pipes) = pipes();
    let entry = Entry::new().head_limit(32 * 1024, 101);
    tokio::spawn(entry.serve(pipes, ok()).into_future());
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(48 * 1024)
    );
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(190));
    for head in [long, many] {
        let mut pipe = dialer.dial().await;
        pipe.write_all(head.as_bytes()).await.unwrap();
        let answer = until(&mut pipe, "\r\n").await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\n");
    }
    let mut pipe = dialer.dial().await;
    let too_long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(65 * 1024));
    let (mut read, mut write) = tokio::io::split(&mut pipe);
    let _ = tokio::join!(write.write_all(too_long.as_bytes()), async {
        let answer = until(&mut read, "\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    });
}

#[tokio::test(start_paused = true)]
async fn continue_is_sent_when_the_body_is_polled_and_not_before() {
    let (dialer, pipes) = pipes();
    let app = app(|request: Request<RequestBody>| async move {
        if request.uri().path() == "/no" {
            let mut response = Response::new(text("too large"));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(response);
        }
        Ok(Response::new(text(
            request.into_body().collect().await?.to_bytes(),
        )))
    });
    tokio::spawn(Entry::new().serve(pipes, app).into_future());

    let head = |path| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    };
    let mut pipe = dialer.dial().await;
    pipe.write_all(head("/no").as_bytes()).await.unwrap();
    let (answer, _) = to_end(&mut pipe).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut pipe = dialer.dial().await;
    pipe.write_all(head("/yes").as_bytes()).await.unwrap();
    assert_eq!(
        until(&mut pipe, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    pipe.write_all(b"hello").await.unwrap();
    let answer = until(&mut pipe, "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_cap_wait() {
    let (dialer, pipes) = pipes();
    let entry = Entry::new()
        .max_connections(1)
        .head_timeout(Duration::from_secs(5));
    tokio::spawn(entry.serve(pipes, ok()).into_future());
    let mut first = dialer.dial().await;
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    until(&mut first, "\r\n\r\nok").await;

    let mut second = dialer.dial().await;
    second
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let start = Instant::now();
    until(&mut second, "\r\n\r\nok").await;
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
}
