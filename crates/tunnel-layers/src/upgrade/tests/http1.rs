//! `Upgrade` of HTTP/1.1.

use http::Method;

use super::*;

#[tokio::test]
async fn a_websocket_comes_and_goes() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http1(&tasks);
    // What comes behind the request is held until it was granted.
    let request = [handshake().as_bytes(), b"early"].concat();
    client.write_all(&request).await.unwrap();
    let mut call = calls.recv().await.unwrap();

    assert_eq!(
        (&call.parts.method, call.parts.uri.path()),
        (&Method::GET, "/chat")
    );
    let asked = call.parts.extensions.get::<UpgradeRequest>().unwrap();
    assert!(asked.is_websocket());
    for gone in [header::CONNECTION, header::UPGRADE] {
        assert!(!call.parts.headers.contains_key(gone));
    }
    assert_eq!(call.parts.headers["sec-websocket-key"], KEY);
    assert_eq!(call.parts.headers["sec-websocket-protocol"], "a, b");
    assert!(!call.body.is_end_stream() && call.body.size_hint().exact().is_none());
    assert!(tokio_test::task::spawn(call.body.frame()).poll().is_pending());

    let (mut server, mut body) = call.grant(|response| {
        let chosen = HeaderValue::from_static("b");
        response.headers_mut().insert("sec-websocket-protocol", chosen);
    });
    let head = head(&mut client).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for field in [
        "connection: upgrade",
        "upgrade: websocket",
        &format!("sec-websocket-accept: {}", ACCEPT.to_lowercase()),
        "sec-websocket-protocol: b",
    ] {
        assert_eq!(
            head.matches(&format!("\r\n{field}\r\n")).count(),
            1,
            "{field} in {head}"
        );
    }
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"));

    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "early");
    client.write_all(b"more").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "more");
    say(&mut server, b"\x81\x05hello").await;
    let mut hello = [0; 7];
    client.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"\x81\x05hello");
    // The server's end, then the client's.
    drop(server);
    assert_eq!(rest(&mut client).await, "");
    client.write_all(b"last").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "last");
    drop(client);
    assert!(piece(&mut body).await.is_none());
    tasks.done().await;
}

#[tokio::test]
async fn any_other_protocol_is_bytes() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http1(&tasks);
    let request =
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: tcp/1\r\ncontent-length: 0\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let call = calls.recv().await.unwrap();
    assert_eq!(call.parts.method, Method::POST);
    let (server, mut body) = call.grant(|_| {});
    assert!(head(&mut client).await.contains("\r\nupgrade: tcp/1\r\n"));
    // The client's end comes first.
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "question");
    assert!(piece(&mut body).await.is_none());
    let mut server = server;
    say(&mut server, b"answer").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "answer");
    tasks.done().await;
}

#[tokio::test]
async fn what_the_request_holds_is_kept_until_both_directions_have_ended() {
    struct Permit(mpsc::Sender<()>);
    impl Drop for Permit {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }

    let tasks = Tasks::default();
    let (service, mut calls) = far::<Incoming>();
    let (released, mut releases) = mpsc::channel(1);
    let stack = tower::ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            tunnel_core::Lifetime::of(request.extensions_mut()).hold(Permit(released.clone()));
            request
        })
        .service(layer(&tasks).layer(service));
    let mut client = serve_http1(stack);
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (server, mut body) = calls.recv().await.unwrap().grant(|_| {});
    head(&mut client).await;
    drop(server);
    assert_eq!(rest(&mut client).await, "");
    assert!(releases.try_recv().is_err(), "the client may still speak");
    drop(client);
    assert!(piece(&mut body).await.is_none());
    releases.recv().await.unwrap();
    tasks.done().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_gone_for_the_far_end() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http1(&tasks);
    client.write_all(handshake().as_bytes()).await.unwrap();
    let mut call = calls.recv().await.unwrap();
    drop(client);
    call.answer.closed().await;
    assert_eq!(piece(&mut call.body).await, Some(Err(Cause::Canceled)));
    assert_eq!(tasks.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_leaves_later_is_gone_for_both_directions() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http1(&tasks);
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (mut server, mut body) = calls.recv().await.unwrap().grant(|_| {});
    head(&mut client).await;
    drop(client);
    assert!(piece(&mut body).await.is_none());
    // What is written tells the rest.
    while server.send_data(Bytes::from_static(b"anybody?")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    tasks.done().await;
}

#[tokio::test]
async fn a_lost_agent_is_a_close() {
    let tasks = Tasks::default();
    let (mut client, mut calls) = http1(&tasks);
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (server, body) = calls.recv().await.unwrap().grant(|_| {});
    head(&mut client).await;
    drop(body);
    let lost = TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
    server.abort(lost.into());
    let mut close = Vec::new();
    client.read_to_end(&mut close).await.unwrap();
    assert_eq!(close[..4], [0x88, close.len() as u8 - 2, 0x03, 0xf4]);
    drop(client);
    tasks.done().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    use tunnel_core::upgrade::Stopping;

    let tasks = Tasks::default();
    let (service, mut calls) = far::<Incoming>();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let stack = tower::ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            let stopped = stopped.clone();
            request.extensions_mut().insert(Stopping::new(move || {
                let mut stopped = stopped.clone();
                Box::pin(async move { drop(stopped.wait_for(|stop| *stop).await) })
            }));
            request
        })
        .service(layer(&tasks).layer(service));
    let mut client = serve_http1(stack);
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (server, mut body) = calls.recv().await.unwrap().grant(|_| {});
    head(&mut client).await;
    stop.send(true).unwrap();
    let mut close = [0; 4];
    client.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], &close[2..]), (0x88, &[0x03, 0xe9][..]));
    client.write_all(b"answer").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "answer");
    drop((client, server));
    assert!(piece(&mut body).await.is_none());
    tasks.done().await;
}

#[tokio::test(start_paused = true)]
async fn settings_of_the_layer_reach_the_stream() {
    let tasks = Tasks::default();
    let (service, mut calls) = far::<Incoming>();
    let layer = layer(&tasks)
        .idle_timeout(Duration::from_secs(60))
        .ping_interval(Duration::from_secs(20));
    let mut client = serve_http1(layer.layer(service));
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (server, mut body) = calls.recv().await.unwrap().grant(|_| {});
    head(&mut client).await;
    let reading = tokio::spawn(async move { piece(&mut body).await });
    let started = tokio::time::Instant::now();
    let mut ping = [0; 10];
    client.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping[..2], [0x89, 8]);
    assert_eq!(started.elapsed().as_secs(), 20);
    // It stays silent.
    assert_eq!(reading.await.unwrap(), Some(Err(Cause::Canceled)));
    assert_eq!(started.elapsed().as_secs(), 40);
    drop(server);
    tasks.done().await;
}
