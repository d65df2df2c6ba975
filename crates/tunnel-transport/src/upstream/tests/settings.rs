//! What can be set about the connections.

use tokio::sync::Semaphore;
use tunnel_core::upgrade::Switched;

use super::{upgrade::asking, *};
use crate::Backoff;

fn ok() -> Origin {
    Origin::start(|_| async { Ok(Response::new(body("ok"))) })
}

/// Answers one request for each permit.
fn gated() -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::with_streams(1, move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(Response::new(body("ok")))
        }
    });
    (origin, opened)
}

async fn ask(upstream: &Upstream) -> String {
    text(soon(upstream.clone().oneshot(get())).await.unwrap()).await
}

async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            settle().await;
        }
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_of_unix_is_an_upstream() {
    for protocol in BOTH {
        let name = format!("tunnel-{}-{protocol:?}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let handler = |request: Request<Incoming>| async move {
            let host = request
                .headers()
                .get("host")
                .map(|host| host.to_str().unwrap().to_owned());
            let authority = request.uri().authority().map(ToString::to_string);
            let said = Full::new(Bytes::from(host.or(authority).unwrap_or_default()));
            Ok::<_, std::convert::Infallible>(Response::new(said))
        };
        let server = tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let (stream, _) = listener.accept().await.unwrap();
            let _ = server
                .serve_connection(TokioIo::new(stream), service_fn(handler))
                .await;
        });
        let uri = format!("unix:{}", path.display());
        let upstream = Upstream::builder(&uri).protocol(protocol).build().unwrap();
        for _ in 0..2 {
            assert_eq!(ask(&upstream).await, "out.example", "{protocol:?}");
            settle().await;
        }
        drop(upstream);
        soon(server).await.unwrap();
        let own = Upstream::builder(&uri)
            .protocol(protocol)
            .preserve_host(false)
            .build()
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = soon(own.oneshot(get())).await.unwrap_err();
        assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
    }
}

#[tokio::test]
async fn elastic_connections_are_made_and_not_kept() {
    for protocol in BOTH {
        let (origin, opened) = gated();
        let upstream = to(origin.addr, protocol)
            .max_connections(1)
            .elastic(true)
            .build()
            .unwrap();
        // Twice, so that the number of streams is known.
        for _ in 0..2 {
            opened.add_permits(1);
            ask(&upstream).await;
        }
        let running = [(); 4].map(|()| tokio::spawn(upstream.clone().oneshot(get())));
        until(|| upstream.connections() >= 4).await;
        opened.add_permits(4);
        for task in running {
            assert_eq!(
                text(soon(task).await.unwrap().unwrap()).await,
                "ok",
                "{protocol:?}"
            );
        }
        if protocol == UpstreamProtocol::Http1 {
            until(|| upstream.connections() == 1).await;
        }
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_life() {
    for protocol in BOTH {
        let origin = ok();
        let upstream = to(origin.addr, protocol)
            .max_life(Duration::from_millis(50))
            .build()
            .unwrap();
        ask(&upstream).await;
        until(|| upstream.connections() == 0).await;
        ask(&upstream).await;
        assert_eq!(origin.accepted(), 2, "{protocol:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_of_either_version_goes() {
    for protocol in BOTH {
        let origin = ok();
        let upstream = to(origin.addr, protocol)
            .idle_timeout(Duration::from_millis(60))
            .build()
            .unwrap();
        ask(&upstream).await;
        until(|| upstream.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_stream_that_runs_keeps_its_connection() {
    let (origin, opened) = gated();
    let upstream = to(origin.addr, UpstreamProtocol::H2c)
        .idle_timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    let running = tokio::spawn(upstream.clone().oneshot(get()));
    until(|| upstream.connections() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.connections(), 1);
    opened.add_permits(1);
    assert_eq!(text(soon(running).await.unwrap().unwrap()).await, "ok");
}

#[tokio::test]
async fn first_connections_are_there_before_requests() {
    for (protocol, after) in [(UpstreamProtocol::Http1, 3), (UpstreamProtocol::H2c, 3)] {
        let origin = ok();
        let upstream = to(origin.addr, protocol).initial_connections(3).build().unwrap();
        upstream.start();
        upstream.start();
        until(|| origin.accepted() == 3 && upstream.connections() == 3).await;
        settle().await;
        let answers = tokio::join!(ask(&upstream), ask(&upstream), ask(&upstream));
        assert_eq!(answers, ("ok".into(), "ok".into(), "ok".into()));
        assert_eq!(origin.accepted(), after, "{protocol:?}");
    }
}

#[tokio::test]
async fn closing_ends_every_connection_when_its_exchange_is_over() {
    for protocol in BOTH {
        let (origin, opened) = gated();
        let upstream = to(origin.addr, protocol).build().unwrap();
        // Twice, so that the number of streams is known.
        for _ in 0..2 {
            opened.add_permits(1);
            ask(&upstream).await;
        }
        let running = [(); 2].map(|()| tokio::spawn(upstream.clone().oneshot(get())));
        until(|| upstream.connections() == 2).await;
        upstream.close();
        let error = soon(upstream.clone().oneshot(get())).await.unwrap_err();
        assert_eq!(
            (error.cause(), error.sent()),
            (Cause::Draining, Sent::No),
            "{protocol:?}"
        );
        opened.add_permits(2);
        for task in running {
            assert_eq!(text(soon(task).await.unwrap().unwrap()).await, "ok");
        }
        until(|| upstream.connections() == 0).await;
    }
}

#[tokio::test]
async fn aborting_ends_every_connection_at_once() {
    for protocol in BOTH {
        let (origin, _) = gated();
        let upstream = to(origin.addr, protocol).build().unwrap();
        let running = tokio::spawn(upstream.clone().oneshot(get()));
        until(|| upstream.connections() == 1).await;
        upstream.abort();
        assert!(soon(running).await.unwrap().is_err());
        until(|| upstream.connections() == 0).await;
    }
}

#[tokio::test]
async fn aborting_ends_upgraded_connections_too() {
    let (listener, addr) = listen();
    let upstream = to(addr, UpstreamProtocol::Http1).build().unwrap();
    let far = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let granted =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(granted).await.unwrap();
        stream.read_u8().await
    });
    let (_sender, request) = asking();
    let response = soon(upstream.clone().oneshot(request)).await.unwrap();
    assert!(response.extensions().get::<Switched>().is_some());
    assert_eq!(upstream.connections(), 1);
    upstream.close();
    settle().await;
    assert_eq!(upstream.connections(), 1, "closing lets it go on");
    upstream.abort();
    assert!(soon(far).await.unwrap().is_err());
    until(|| upstream.connections() == 0).await;
    drop(response);
}

#[tokio::test]
async fn dropping_the_last_clone_closes_everything() {
    for protocol in BOTH {
        let origin = ok();
        let upstream = to(origin.addr, protocol).build().unwrap();
        ask(&upstream).await;
        settle().await;
        let watch = upstream.clone();
        let count = watch.open_count();
        assert_eq!(count.get(), 1);
        drop((upstream, watch));
        until(|| count.get() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_endpoint_is_let_be_where_that_is_set() {
    let (_port, addr) = closed_port();
    let backoff = Backoff {
        first: Duration::from_secs(100),
        cap: Duration::from_secs(100),
    };
    let upstream = to(addr, UpstreamProtocol::Http1)
        .dial_backoff(backoff)
        .build()
        .unwrap();
    // Full jitter may make a pause as short as it likes: not every time.
    let mut let_be = false;
    for _ in 0..20 {
        let error = upstream.clone().oneshot(get()).await.unwrap_err();
        assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
        let_be |= error.retry_after().is_some();
    }
    assert!(let_be);
}
