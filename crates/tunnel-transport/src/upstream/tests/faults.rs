use super::*;

fn get_error(outcome: Result<Response<UpstreamBody>, TunnelError>) -> (Cause, Sent) {
    let error = outcome.expect_err("an error");
    assert!(!error.message().contains("127."), "{error}");
    (error.cause(), error.sent())
}

#[tokio::test]
async fn an_upstream_that_is_not_there() {
    for protocol in BOTH {
        let (_port, addr) = closed_port();
        let upstream = to(addr, protocol).build().unwrap();
        let tasks = [(); 5].map(|()| tokio::spawn(upstream.clone().oneshot(get())));
        for task in tasks {
            assert_eq!(get_error(soon(task).await.unwrap()), (Cause::Upstream, Sent::No));
        }
    }
}

#[tokio::test]
async fn a_request_that_was_read_is_not_sent_again() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        head(&mut stream).await;
    };
    let requests = async {
        text(upstream.clone().oneshot(get()).await.unwrap()).await;
        settle().await;
        upstream.clone().oneshot(get()).await
    };
    // The listener still listens, so another try would hang, and not be refused.
    let (outcome, ()) = soon(async { tokio::join!(requests, serve) }).await;
    assert_eq!(get_error(outcome), (Cause::Upstream, Sent::Yes));
}

#[tokio::test]
async fn a_refused_stream_says_so() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    });
    let outcome = soon(upstream.oneshot(get())).await;
    assert_eq!(get_error(outcome), (Cause::Upstream, Sent::Refused));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let (listener, addr) = listen();
        let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        breaks_after_abc(soon(upstream.oneshot(get())).await.unwrap()).await;
    }

    let origin = Origin::start(|_| async {
        let (mut sender, body) = streamed();
        tokio::spawn(async move {
            sender.send_data(Bytes::from_static(b"abc")).await.unwrap();
            // Sent, and only then broken: a reset overtakes what is queued.
            settle().await;
            sender.abort("defect".into());
        });
        Ok(Response::new(body))
    });
    let upstream = origin.upstream(UpstreamProtocol::H2c);
    breaks_after_abc(soon(upstream.oneshot(get())).await.unwrap()).await;
}

#[tokio::test]
async fn a_reset_without_an_error_is_no_end_either() {
    for complete in [false, true] {
        let (listener, addr) = listen();
        let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data(Bytes::from_static(b"abc"), complete).unwrap();
            tokio::spawn(async move {
                settle().await;
                send.send_reset(h2::Reason::NO_ERROR);
            });
            while connection.accept().await.is_some() {}
        });
        let (_sender, upload) = streamed();
        let response = soon(upstream.oneshot(post(upload))).await.unwrap();
        if complete {
            assert_eq!(text(response).await, "abc");
        } else {
            breaks_after_abc(response).await;
        }
    }
}

async fn breaks_after_abc(response: Response<UpstreamBody>) {
    let mut body = response.into_body();
    assert_eq!(data(&mut body).await, "abc");
    let error = soon(body.frame()).await.expect("no clean end").unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::Yes));
}

#[tokio::test]
async fn a_request_body_that_breaks_off_is_not_the_upstreams_fault() {
    for protocol in BOTH {
        let origin = Origin::start(|request: Request<Incoming>| async move {
            assert!(
                request.into_body().collect().await.is_err(),
                "never as if complete"
            );
            Err("the body broke off".into())
        });
        let (mut sender, body) = streamed();
        let exchange = tokio::spawn(origin.upstream(protocol).oneshot(post(body)));
        sender.send_data(Bytes::from_static(b"abc")).await.unwrap();
        settle().await;
        sender.abort(TunnelError::canceled().into());
        let error = soon(exchange).await.unwrap().unwrap_err();
        assert_eq!(error.cause(), Cause::Canceled, "{protocol:?}: {error:?}");
    }
}
