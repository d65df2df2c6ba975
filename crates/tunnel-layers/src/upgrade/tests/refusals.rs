//! Upgrades that are not granted, or not as they should be.

use http::Method;

use super::*;

/// Bytes that would be another request.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: example.com\r\n\r\n";

#[tokio::test]
async fn a_refusal_comes_as_it_is_and_nothing_behind_the_request_becomes_one() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http1(&tasks);
    client
        .write_all(&[handshake().as_bytes(), SMUGGLED].concat())
        .await
        .unwrap();
    let mut body = calls.recv().await.unwrap().refuse(403, "not you");
    let answer = rest(&mut client).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 403 "), "{answer}");
    assert!(
        answer.contains("\r\nconnection: close\r\n") && answer.contains("not you"),
        "{answer}"
    );
    assert!(calls.try_recv().is_err(), "it was taken for a request");
    assert!(piece(&mut body).await.is_none(), "nothing failed");
    assert_eq!(tasks.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_upgrade_that_is_granted_wrongly_is_502() {
    type Spoil = fn(&mut Response<Channel<Bytes, BoxError>>);
    let spoil: [(&str, Spoil); 7] = [
        ("no accept", |response| {
            response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
        }),
        ("wrong accept", |response| {
            let wrong = accept_key(b"another key");
            response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, wrong);
        }),
        ("two accepts", |response| {
            let right = response.headers()[header::SEC_WEBSOCKET_ACCEPT].clone();
            response.headers_mut().append(header::SEC_WEBSOCKET_ACCEPT, right);
        }),
        ("no protocol", |response| {
            response.headers_mut().remove(header::UPGRADE);
        }),
        ("another protocol", |response| {
            let other = HeaderValue::from_static("tls/1.0");
            response.headers_mut().insert(header::UPGRADE, other);
        }),
        ("two protocols", |response| {
            let both = HeaderValue::from_static("websocket, tls/1.0");
            response.headers_mut().insert(header::UPGRADE, both);
        }),
        ("another contract", |response| {
            response.extensions_mut().remove::<Switched>();
        }),
    ];
    for (what, spoil) in spoil {
        let tasks = Tasks::default();
        let (mut client, mut calls) = http1(&tasks);
        client
            .write_all(&[handshake().as_bytes(), SMUGGLED].concat())
            .await
            .unwrap();
        let (mut server, mut body) = calls.recv().await.unwrap().grant(spoil);
        let answer = rest(&mut client).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 502 "), "{what}: {answer}");
        assert!(answer.contains("\r\nx-tunnel-error: bad-upgrade\r\n"), "{what}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{what}");
        assert!(calls.try_recv().is_err(), "{what}: it was taken for a request");
        assert_eq!(piece(&mut body).await, Some(Err(Cause::Canceled)), "{what}");
        assert!(
            server.send_data(Bytes::from_static(b"x")).await.is_err(),
            "{what}"
        );
        assert_eq!(tasks.0.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_key_that_has_no_proof_gets_none() {
    let no_key = handshake().replace("sec-websocket-key", "x-key");
    let two_keys = handshake().replace("sec-websocket-protocol: a, b", "sec-websocket-key: other");
    for request in [no_key, two_keys] {
        let (mut client, mut calls) = http1(&Tasks::default());
        client.write_all(request.as_bytes()).await.unwrap();
        let _far = calls.recv().await.unwrap().grant(|_| {});
        assert!(head(&mut client).await.starts_with("http/1.1 502 "));
    }
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_400() {
    for framing in [
        "content-length: 2\r\n\r\nhi",
        "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ] {
        let (mut client, mut calls) = http1(&Tasks::default());
        let request = handshake();
        let request = format!("{}{framing}", request.strip_suffix("\r\n").unwrap());
        client
            .write_all(&[request.as_bytes(), SMUGGLED].concat())
            .await
            .unwrap();
        let answer = rest(&mut client).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 400 "), "{answer}");
        assert!(answer.contains("\r\nx-tunnel-error: malformed\r\n"));
        assert!(answer.contains("\r\nconnection: close\r\n"));
        assert!(calls.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_wish_that_is_ignored_is_plain_http() {
    let post = handshake().replace("GET", "POST");
    let several = handshake().replace("upgrade: WebSocket", "upgrade: websocket, other");
    let h2c = handshake().replace("upgrade: WebSocket", "upgrade: h2c");
    for request in [post, several, h2c] {
        let tasks = Tasks::default();
        let (mut client, mut calls) = http1(&tasks);
        for _ in 0..2 {
            client.write_all(request.as_bytes()).await.unwrap();
            let call = calls.recv().await.unwrap();
            assert!(
                call.parts.extensions.get::<UpgradeRequest>().is_none(),
                "{request}"
            );
            assert!(call.body.is_end_stream());
            drop(call.refuse(204, ""));
            let head = head(&mut client).await;
            assert!(head.starts_with("http/1.1 204 ") && !head.contains("connection: close"));
        }
        // Nobody asked for this.
        client.write_all(request.as_bytes()).await.unwrap();
        let mut call = calls.recv().await.unwrap();
        call.parts.extensions.insert(UpgradeRequest {
            protocol: HeaderValue::from_static("websocket"),
        });
        let _far = call.grant(|_| {});
        assert!(head(&mut client).await.starts_with("http/1.1 502 "));
    }
}

#[tokio::test]
async fn without_a_server_that_can_a_wish_is_ignored() {
    let (service, mut calls) = far::<String>();
    let service = layer(&Tasks::default()).layer(service);
    let request = Request::get("/")
        .header("host", "a")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body("a body".to_owned());
    let answer = tokio::spawn(tower::ServiceExt::oneshot(service.clone(), request.unwrap()));
    let call = calls.recv().await.unwrap();
    assert!(call.parts.extensions.get::<UpgradeRequest>().is_none());
    drop(call.refuse(200, "plain"));
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);

    let mut connect = Request::new(String::new());
    *connect.method_mut() = Method::CONNECT;
    *connect.uri_mut() = "http://a/chat".parse().unwrap();
    *connect.version_mut() = http::Version::HTTP_2;
    connect
        .extensions_mut()
        .insert(tunnel_core::admit::ExtendedConnect {
            protocol: HeaderValue::from_static("websocket"),
        });
    let answer = tower::ServiceExt::oneshot(service, connect).await.unwrap();
    assert_eq!(answer.status(), 501);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (service, _calls) = far::<Incoming>();
    let mut client = serve_http1(UpgradeLayer::new().layer(service));
    client.write_all(handshake().as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(
        answer.starts_with("HTTP/1.1 500 ") && answer.contains("UpgradeLayer::runtime"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_error_of_the_far_end_stays_one() {
    let (mut client, mut calls) = http1(&Tasks::default());
    client.write_all(handshake().as_bytes()).await.unwrap();
    let call = calls.recv().await.unwrap();
    let error = TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
    assert!(call.answer.send(Err(error)).is_ok());
    // hyper knows no answer to an error but to close.
    assert_eq!(rest(&mut client).await, "");
}

#[test]
fn answers_of_any_layer_close_a_connection_that_asked_for_an_upgrade() {
    let error = TunnelError::new(Cause::NoRoute, Initiator::Tunnel, "no rule");
    let answer = |request: Request<()>| -> Response<ResponseBody<String>> {
        crate::reject::Caller::of(&request).reject(&error)
    };
    let plain = Request::get("/").body(()).unwrap();
    assert!(!answer(plain).headers().contains_key("connection"));
    let asking = Request::get("/").header("upgrade", "websocket").body(()).unwrap();
    assert_eq!(answer(asking).headers()["connection"], "close");
    let mut admitted = Request::get("/").body(()).unwrap();
    let protocol = HeaderValue::from_static("websocket");
    admitted.extensions_mut().insert(UpgradeRequest { protocol });
    assert_eq!(answer(admitted).headers()["connection"], "close");
    let over_http2 = Request::get("/")
        .version(http::Version::HTTP_2)
        .header("upgrade", "x")
        .body(())
        .unwrap();
    assert!(!answer(over_http2).headers().contains_key("connection"));
}
