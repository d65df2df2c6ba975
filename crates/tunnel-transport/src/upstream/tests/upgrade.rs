//! Upgrades over HTTP/1.1, in front of scripted servers.

use http::{HeaderValue, StatusCode};
use http_body_util::channel::Sender;
use tunnel_core::{admit::UpgradeRequest, upgrade::Switched};

use super::*;
use crate::net::Socket as _;

pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const GRANT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade, x-hop\r\nx-hop: 1\r\n\
    upgrade: websocket\r\nsec-websocket-protocol: chat\r\n\r\n";

/// What asks for WebSocket, and the client's direction.
pub(super) fn asking() -> (Sender<Bytes, BoxError>, Request<TestBody>) {
    let (sender, body) = streamed();
    let mut request = Request::get("http://out.example/chat?room=1")
        .header("sec-websocket-key", KEY)
        .header("sec-websocket-version", "13")
        .header("te", "trailers")
        .header("content-length", "0")
        .body(body)
        .expect("a valid request");
    let protocol = HeaderValue::from_static("websocket");
    request.extensions_mut().insert(UpgradeRequest { protocol });
    (sender, request)
}

/// An upgraded exchange: the client's direction, the upstream's, and the upstream's socket.
async fn upgraded() -> (Sender<Bytes, BoxError>, UpstreamBody, TcpStream) {
    let (listener, addr) = listen();
    let (sender, request) = asking();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(GRANT).await.unwrap();
        stream
    };
    let (response, stream) = soon(async { tokio::join!(upstream.oneshot(request), serve) }).await;
    (sender, response.unwrap().into_body(), stream)
}

/// Once this is over, our side has let go of the body.
async fn dropped(mut sender: Sender<Bytes, BoxError>) {
    soon(async { while sender.send_data(Bytes::from_static(b"x")).await.is_ok() {} }).await;
}

async fn is_reset(stream: &mut TcpStream) -> bool {
    let read = soon(stream.read(&mut [0; 64])).await;
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn the_head_asks_and_bytes_behind_the_101_are_not_lost() {
    let (listener, addr) = listen();
    let (_sender, request) = asking();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(&[GRANT, b"early"].concat()).await.unwrap();
        (head, stream)
    };
    let (response, (head, _stream)) = soon(async { tokio::join!(upstream.oneshot(request), serve) }).await;
    let response = response.unwrap();
    assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "host: out.example",
        "connection: upgrade, te",
        "upgrade: websocket",
        "sec-websocket-version: 13",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
    }
    assert!(head.contains(&format!("sec-websocket-key: {KEY}\r\n")), "{head}");
    assert!(
        !head.contains("transfer-encoding") && !head.contains("content-length"),
        "{head}"
    );

    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(response.extensions().get::<Switched>().is_some());
    let headers = response.headers();
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    assert!(!headers.contains_key("connection") && !headers.contains_key("x-hop"));
    assert_eq!(data(&mut response.into_body()).await, "early");
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    for upstream_first in [false, true] {
        let (mut sender, mut body, mut stream) = upgraded().await;
        sender.send_data(Bytes::from_static(b"up")).await.unwrap();
        let mut up = [0; 2];
        soon(stream.read_exact(&mut up)).await.unwrap();
        stream.write_all(b"down").await.unwrap();
        assert_eq!(soon(data(&mut body)).await, "down");

        if upstream_first {
            stream.shutdown().await.unwrap();
            assert!(soon(body.frame()).await.is_none());
            drop(body);
            sender.send_data(Bytes::from_static(b"up")).await.unwrap();
            soon(stream.read_exact(&mut up)).await.unwrap();
            drop(sender);
            assert_eq!(soon(stream.read(&mut up)).await.unwrap(), 0);
        } else {
            drop(sender);
            assert_eq!(soon(stream.read(&mut up)).await.unwrap(), 0);
            stream.write_all(b"down").await.unwrap();
            assert_eq!(soon(data(&mut body)).await, "down");
            stream.shutdown().await.unwrap();
            assert!(soon(body.frame()).await.is_none());
        }
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_takes_the_clients_direction_along() {
    let (sender, mut body, mut stream) = upgraded().await;
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon(data(&mut body)).await, "x");
    stream.abort();
    drop(stream);
    let error = soon(body.frame()).await.unwrap().unwrap_err();
    assert_eq!(error.cause(), Cause::Upstream);
    dropped(sender).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_resets_the_connection() {
    let (sender, _body, mut stream) = upgraded().await;
    sender.abort(TunnelError::canceled().into());
    assert!(is_reset(&mut stream).await, "while nobody reads the answer");
}

#[tokio::test]
async fn dropping_the_answer_resets_the_connection() {
    let (sender, body, mut stream) = upgraded().await;
    drop(body);
    assert!(is_reset(&mut stream).await);
    dropped(sender).await;
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_its_connection_is_not_used_again() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let (sender, request) = asking();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
        stream.read(&mut [0; 64]).await
    };
    let answer = async {
        let response = upstream.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(response.extensions().get::<Switched>().is_none());
        text(response).await
    };
    let (answer, end) = soon(async { tokio::join!(answer, serve) }).await;
    assert_eq!(answer, "no");
    assert_eq!(end.unwrap(), 0, "closed, without a word of the client's");
    dropped(sender).await;
}

#[tokio::test]
async fn an_upgrade_takes_no_pooled_connection_and_counts_until_it_ends() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1)
        .max_connections(1)
        .queue_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let answer = async |stream: &mut TcpStream, answer: &[u8]| {
        head(stream).await;
        stream.write_all(answer).await.unwrap();
    };
    let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let serve = async {
        let (mut pooled, _) = listener.accept().await.unwrap();
        answer(&mut pooled, plain).await;
        let (mut upgraded, _) = listener.accept().await.unwrap();
        answer(&mut upgraded, GRANT).await;
        answer(&mut pooled, plain).await;
    };
    let requests = async {
        assert_eq!(text(upstream.clone().oneshot(get()).await.unwrap()).await, "ok");
        settle().await;
        let (sender, request) = asking();
        let switched = upstream.clone().oneshot(request).await.unwrap();
        let error = upstream.clone().oneshot(get()).await.unwrap_err();
        assert_eq!(error.cause(), Cause::Overloaded);
        drop(switched);
        dropped(sender).await;
        settle().await;
        assert_eq!(text(upstream.clone().oneshot(get()).await.unwrap()).await, "ok");
    };
    soon(async { tokio::join!(requests, serve) }).await;
}

#[tokio::test]
async fn errors_are_those_of_plain_requests() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        drop((stream, listener));
    };
    let (response, ()) = soon(async { tokio::join!(upstream.clone().oneshot(asking().1), serve) }).await;
    let error = response.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::Yes));
    let (_port, closed) = closed_port();
    let upstream = to(closed, UpstreamProtocol::Http1).build().unwrap();
    let error = soon(upstream.oneshot(asking().1)).await.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let (sender, request) = asking();
    let exchange = tokio::spawn(upstream.oneshot(request));
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    soon(head(&mut stream)).await;
    exchange.abort();
    assert_eq!(soon(stream.read(&mut [0; 64])).await.unwrap(), 0);
    dropped(sender).await;
}
