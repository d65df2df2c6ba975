use std::sync::Mutex;

use tokio::sync::{Barrier, Semaphore};

use super::*;

fn ok() -> Origin {
    Origin::start(|_| async { Ok(Response::new(body("ok"))) })
}

#[tokio::test]
async fn a_connection_is_used_again() {
    for protocol in BOTH {
        let origin = ok();
        let upstream = origin.upstream(protocol);
        for _ in 0..5 {
            assert_eq!(text(upstream.clone().oneshot(get()).await.unwrap()).await, "ok");
            settle().await;
        }
        assert_eq!(origin.accepted(), 1, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_connection_is_not_used_before_its_response_was_read() {
    let origin = ok();
    let upstream = origin.upstream(UpstreamProtocol::Http1);
    let first = upstream.clone().oneshot(get()).await.unwrap();
    let second = upstream.clone().oneshot(get()).await.unwrap();
    assert_eq!(text(first).await + &text(second).await, "okok");
    assert_eq!(origin.accepted(), 2);
}

#[tokio::test]
async fn idle_connections_have_a_bound_and_a_timeout() {
    let origin = ok();
    let none = to(origin.addr, UpstreamProtocol::Http1)
        .max_idle(0)
        .build()
        .unwrap();
    for _ in 0..2 {
        text(none.clone().oneshot(get()).await.unwrap()).await;
        settle().await;
    }
    assert_eq!(origin.accepted(), 2);

    let expired = to(origin.addr, UpstreamProtocol::Http1)
        .idle_timeout(Duration::ZERO)
        .build()
        .unwrap();
    for _ in 0..2 {
        text(expired.clone().oneshot(get()).await.unwrap()).await;
        settle().await;
    }
    assert_eq!(origin.accepted(), 4);
}

#[tokio::test]
async fn a_stale_idle_connection_is_replaced() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let serve_one = async |listener: &TcpListener| {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
    };
    for _ in 0..2 {
        // The server closes after each answer without having said so.
        let (response, ()) = tokio::join!(upstream.clone().oneshot(get()), serve_one(&listener));
        assert_eq!(text(response.unwrap()).await, "ok");
        settle().await;
    }
}

#[tokio::test]
async fn a_connection_that_closes_under_a_request_gives_it_back() {
    let (listener, addr) = listen();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let (near, mut far) = (near.unwrap(), far.unwrap().0);
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        settle().await;
        // Without an await between the two, so that the runtime sees both at once: it wakes the test first, which takes the
        // connection as idle, and then the connection, which finds its end before the request.
        near.try_write(b"x").unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(head(&mut stream).await.starts_with("POST"));
        stream.write_all(answer).await.unwrap();
    });
    text(upstream.clone().oneshot(get()).await.unwrap()).await;
    far.read_u8().await.unwrap();
    let response = soon(upstream.oneshot(post(body("hello")))).await.unwrap();
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn a_lost_h2_connection_is_replaced() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
    for _ in 0..2 {
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            respond.send_response(Response::new(()), true).unwrap();
            // Drives the connection until the answer is out, and then drops it.
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
        };
        let (response, ()) = soon(async { tokio::join!(upstream.clone().oneshot(get()), serve) }).await;
        assert_eq!(text(response.unwrap()).await, "");
        settle().await;
    }
}

#[tokio::test]
async fn a_hundred_at_once() {
    for protocol in BOTH {
        let barrier = Arc::new(Barrier::new(100));
        let origin = Origin::start(move |_| {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                Ok(Response::new(body("ok")))
            }
        });
        let upstream = origin.upstream(protocol);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let upstream = upstream.clone();
                tokio::spawn(async move { text(upstream.oneshot(get()).await.unwrap()).await })
            })
            .collect();
        for task in tasks {
            assert_eq!(soon(task).await.unwrap(), "ok");
        }
        let connections = if protocol == UpstreamProtocol::H2c { 1 } else { 100 };
        assert_eq!(origin.accepted(), connections, "{protocol:?}");
    }
}

#[tokio::test]
async fn more_h2_connections_come_when_the_upstream_allows_few_streams() {
    let barrier = Arc::new(Mutex::new(Arc::new(Barrier::new(1))));
    let current = Arc::clone(&barrier);
    let origin = Origin::with_streams(10, move |_| {
        let barrier = Arc::clone(&current.lock().unwrap());
        async move {
            barrier.wait().await;
            Ok(Response::new(body("ok")))
        }
    });
    let upstream = origin.upstream(UpstreamProtocol::H2c);
    for _ in 0..2 {
        text(upstream.clone().oneshot(get()).await.unwrap()).await;
    }
    assert_eq!(origin.accepted(), 1);

    // Answered only if all of them run at once.
    *barrier.lock().unwrap() = Arc::new(Barrier::new(15));
    let tasks: Vec<_> = (0..15)
        .map(|_| tokio::spawn(upstream.clone().oneshot(get())))
        .collect();
    for task in tasks {
        soon(task).await.unwrap().unwrap();
    }
    assert_eq!(origin.accepted(), 2);
}

#[tokio::test]
async fn beyond_the_bound_a_request_waits_and_then_fails() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::with_streams(1, move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(Response::new(body("ok")))
        }
    });
    for protocol in BOTH {
        let bounded = |timeout| {
            let builder = to(origin.addr, protocol)
                .max_connections(1)
                .queue_timeout(timeout);
            builder.build().unwrap()
        };
        // Twice, so that the number of streams is known.
        let warm = async |upstream: &Upstream| {
            for _ in 0..2 {
                opened.add_permits(1);
                text(upstream.clone().oneshot(get()).await.unwrap()).await;
            }
        };
        let upstream = bounded(Duration::from_millis(20));
        warm(&upstream).await;
        let running = tokio::spawn(upstream.clone().oneshot(get()));
        settle().await;
        let error = upstream.clone().oneshot(get()).await.unwrap_err();
        assert_eq!(
            (error.cause(), error.sent()),
            (Cause::Overloaded, Sent::No),
            "{protocol:?}"
        );
        opened.add_permits(1);
        text(running.await.unwrap().unwrap()).await;

        let upstream = bounded(Duration::from_secs(10));
        warm(&upstream).await;
        let tasks = [(); 3].map(|()| {
            let upstream = upstream.clone();
            tokio::spawn(async move { text(upstream.oneshot(get()).await.unwrap()).await })
        });
        settle().await;
        opened.add_permits(3);
        for task in tasks {
            assert_eq!(soon(task).await.unwrap(), "ok");
        }
    }
}
