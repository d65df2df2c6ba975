//! Extended CONNECT of HTTP/2 (RFC 8441).

use http::Method;
use hyper::{client::conn::http2::SendRequest, ext::Protocol, upgrade::Upgraded};

use super::*;

type Client = SendRequest<String>;

async fn http2(tasks: &Tasks) -> (Client, Calls<Incoming>) {
    let (service, calls) = far();
    let (client, server) = tokio::io::duplex(64 * 1024);
    let service = TowerToHyperService::new(layer(tasks).layer(service));
    tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(server), service),
    );
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .expect("a handshake");
    tokio::spawn(connection);
    (client, calls)
}

fn connect(protocol: &'static str) -> Request<String> {
    let mut request = Request::new(String::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "http://example.com/chat?x".parse().expect("a valid target");
    request.extensions_mut().insert(Protocol::from_static(protocol));
    let version = HeaderValue::from_static("13");
    request.headers_mut().insert("sec-websocket-version", version);
    request
}

/// What the server says, until its end.
async fn all(io: &mut TokioIo<Upgraded>) -> Vec<u8> {
    let mut all = Vec::new();
    io.read_to_end(&mut all).await.expect("an end in order");
    all
}

#[tokio::test]
async fn a_websocket_comes_and_goes() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http2(&tasks).await;
    let answer = tokio::spawn(client.send_request(connect("websocket")));
    let call = calls.recv().await.unwrap();
    assert_eq!(
        (&call.parts.method, call.parts.uri.path()),
        (&Method::GET, "/chat")
    );
    let asked = call.parts.extensions.get::<UpgradeRequest>().unwrap();
    assert!(asked.is_websocket());
    // Only a key of our own makes it the handshake of HTTP/1.1.
    assert_eq!(call.parts.headers["sec-websocket-key"].len(), 24);
    assert_eq!(call.parts.headers["sec-websocket-version"], "13");
    let (mut server, mut body) = call.grant(|response| {
        let chosen = HeaderValue::from_static("b");
        response.headers_mut().insert("sec-websocket-protocol", chosen);
    });
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "b");
    for gone in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    let mut io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    io.write_all(b"from the client").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "from the client");
    say(&mut server, b"\x81\x02hi").await;
    drop(server);
    assert_eq!(all(&mut io).await, b"\x81\x02hi");
    io.write_all(b"last").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "last");
    io.shutdown().await.unwrap();
    assert!(piece(&mut body).await.is_none());
    tasks.done().await;
}

#[tokio::test]
async fn keys_are_our_own_and_new() {
    let (mut client, mut calls) = http2(&Tasks::default()).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut request = connect("websocket");
        request
            .headers_mut()
            .insert("sec-websocket-key", HeaderValue::from_static(KEY));
        let answer = tokio::spawn(client.send_request(request));
        let call = calls.recv().await.unwrap();
        assert_eq!(call.parts.headers.get_all("sec-websocket-key").iter().count(), 1);
        keys.push(call.parts.headers["sec-websocket-key"].clone());
        drop(call.refuse(403, "no"));
        assert_eq!(answer.await.unwrap().unwrap().status(), 403);
    }
    assert!(keys[0] != keys[1] && keys[0] != KEY);
}

#[tokio::test]
async fn another_protocol_is_bytes_and_a_client_that_resets_is_gone() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http2(&tasks).await;
    let answer = tokio::spawn(client.send_request(connect("echo")));
    let call = calls.recv().await.unwrap();
    assert!(!call.parts.headers.contains_key("sec-websocket-key"));
    let (mut server, mut body) = call.grant(|_| {});
    let io = hyper::upgrade::on(answer.await.unwrap().unwrap()).await.unwrap();
    drop(io);
    assert!(piece(&mut body).await.is_none());
    while server.send_data(Bytes::from_static(b"anybody?")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    tasks.done().await;
}

#[tokio::test]
async fn a_refusal_comes_as_it_is_but_never_as_a_success() {
    let tasks = Tasks::default();
    for (status, seen, error) in [
        (403, 403, None),
        (301, 301, None),
        (200, 502, Some("bad-upgrade")),
        (204, 502, Some("bad-upgrade")),
    ] {
        let (mut client, mut calls) = http2(&tasks).await;
        let answer = tokio::spawn(client.send_request(connect("websocket")));
        let body = calls.recv().await.unwrap().refuse(status, "a text");
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.status(), seen);
        let said = answer
            .headers()
            .get("x-tunnel-error")
            .map(|value| value.to_str().unwrap());
        assert_eq!(said, error);
        assert!(!answer.headers().contains_key("connection"));
        if error.is_none() {
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, "a text");
        }
        drop(body);
    }
    assert_eq!(tasks.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_wrong_proof_is_502() {
    let (mut client, mut calls) = http2(&Tasks::default()).await;
    let answer = tokio::spawn(client.send_request(connect("websocket")));
    let _far = calls.recv().await.unwrap().grant(|response| {
        let wrong = accept_key(KEY.as_bytes());
        response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, wrong);
    });
    assert_eq!(answer.await.unwrap().unwrap().status(), 502);
}
