//! What the gateway says when there is no answer to pass on.

use std::{future::pending, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use tunnel_layers::route::Rule;
use tunnel_tests::{
    body,
    client::{Client, Version},
    origin::app,
    tunnel::{GROUP, Tunnel, address, group, listener},
    wait::within_limit,
};
use tunnel_transport::Upstream;

use super::{
    refusals::assert_problem,
    world::{get, single},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// Short, because a test waits for it.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Sends a GET, and asserts that the gateway answers it itself, under the trace id of the request.
async fn assert_fails(tunnel: &Tunnel, target: &str, expected: (u16, &str)) {
    for version in VERSIONS {
        let mut client = Client::connect(version, tunnel.addr).await;
        let mut request = get(target);
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        request
            .headers_mut()
            .insert("traceparent", traceparent.parse().unwrap());
        let (parts, body) = client.send(request).await.unwrap().into_parts();
        assert_eq!(parts.headers["x-trace-id"], TRACE);
        assert_eq!(parts.headers.contains_key("retry-after"), expected.0 == 503);
        assert_problem(parts.status, &parts.headers, &body::whole(body).await, expected);
    }
    tunnel.settled().await;
}

#[tokio::test]
async fn no_rule() {
    within_limit(async {
        let rules = [Rule::group("a", group(GROUP)).path_prefix("/a")];
        let mut tunnel = Tunnel::builder().rules(rules).start().await;
        tunnel
            .add_agent(GROUP, app(|_| async { Response::new(Body::empty()) }))
            .await;
        assert_fails(&tunnel, "/b", (404, "no-route")).await;
    })
    .await;
}

#[tokio::test]
async fn no_agent() {
    within_limit(async {
        let rules = [
            Rule::group("a", group(GROUP)),
            Rule::group("b", group("other")).path_prefix("/b"),
        ];
        let mut tunnel = Tunnel::builder().rules(rules).start().await;
        assert_fails(&tunnel, "/", (503, "no-agent")).await;
        tunnel
            .add_agent("other", app(|_| async { Response::new(Body::empty()) }))
            .await;
        assert_fails(&tunnel, "/", (503, "no-agent")).await;
        let mut client = Client::connect(Version::Http1, tunnel.addr).await;
        assert_eq!(client.get("/b").await.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn refused_upstream() {
    within_limit(async {
        let closed = address(&listener().await);
        for upstream in [
            Upstream::http1(format!("http://{closed}")),
            Upstream::h2c(format!("http://{closed}")),
        ] {
            let tunnel = Tunnel::serve(upstream.unwrap()).await;
            assert_fails(&tunnel, "/", (502, "upstream")).await;
        }
    })
    .await;
}

/// An upstream that takes the request and closes without an answer.
#[tokio::test]
async fn broken_upstream() {
    within_limit(async {
        let listener = listener().await;
        let addr = address(&listener);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 1024]).await;
            }
        });
        let tunnel = Tunnel::serve(Upstream::http1(format!("http://{addr}")).unwrap()).await;
        assert_fails(&tunnel, "/", (502, "upstream")).await;
    })
    .await;
}

/// An app that fails is not what the outside is told about, and takes nothing else with it.
#[tokio::test]
async fn broken_app() {
    within_limit(async {
        let service = tower::service_fn(|_: Request<tunnel_core::TunnelBody>| async {
            Err::<Response<Body>, _>("the password is hunter2")
        });
        let tunnel = Tunnel::serve(service).await;
        let mut client = Client::connect(Version::Http1, tunnel.addr).await;
        let (parts, body) = client.get("/").await.into_parts();
        let body = body::whole(body).await;
        assert!(parts.status.is_server_error());
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"), "{body:?}");
        assert!(parts.headers.contains_key("x-tunnel-error"));
        tunnel.settled().await;
    })
    .await;
}

/// What is no answer does not pass for one.
#[tokio::test]
async fn interim_answer() {
    within_limit(async {
        let app = app(|request| async move {
            let status = request.uri().path()[1..].parse::<u16>().unwrap();
            Response::builder().status(status).body(Body::empty()).unwrap()
        });
        let tunnel = Tunnel::serve(app).await;
        for (status, cause) in [(100, "upstream"), (101, "bad-upgrade"), (103, "upstream")] {
            assert_fails(&tunnel, &format!("/{status}"), (502, cause)).await;
        }
    })
    .await;
}

/// A handler that panics costs its own exchange.
#[tokio::test]
async fn panicking_app() {
    within_limit(async {
        let app = app(|request| async move {
            assert_ne!(request.uri().path(), "/panic", "on purpose");
            Response::new(Body::from("fine"))
        });
        let tunnel = Tunnel::serve(app).await;
        for version in VERSIONS {
            let mut client = Client::connect(version, tunnel.addr).await;
            let response = client.get("/panic").await;
            assert!(response.status().is_server_error());
            assert!(response.headers().contains_key("x-tunnel-error"));
            body::whole(response).await;
            assert_eq!(body::whole(client.get("/").await).await, "fine");
        }
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn timeout_before_the_head() {
    within_limit(async {
        let rules = [Rule::group("slow", group(GROUP)).timeout(TIMEOUT)];
        let mut tunnel = Tunnel::builder().rules(rules).start().await;
        tunnel
            .add_agent(GROUP, app(|_| pending::<Response<Body>>()))
            .await;
        let start = Instant::now();
        assert_fails(&tunnel, "/", (504, "deadline")).await;
        assert!(start.elapsed() >= TIMEOUT * 2, "{:?}", start.elapsed());
    })
    .await;
}

/// After the head a timeout is a broken transfer, with or without a known length, and never a clean end.
#[tokio::test]
async fn timeout_after_the_head() {
    within_limit(async {
        let rules = [Rule::group("slow", group(GROUP)).timeout(Duration::from_secs(1))];
        let mut tunnel = Tunnel::builder().rules(rules).start().await;
        let app = app(|request| async move {
            let (mut feed, body) = body::fed();
            tokio::spawn(async move {
                let _ = feed.send_data("part".into()).await;
                pending::<()>().await;
                drop(feed);
            });
            let response = Response::builder();
            match request.uri().path() {
                "/sized" => response.header("content-length", 8),
                _ => response,
            }
            .body(body)
            .unwrap()
        });
        tunnel.add_agent(GROUP, app).await;
        let calls = VERSIONS
            .into_iter()
            .flat_map(|version| ["/sized", "/open"].map(|target| (version, target)));
        let calls = calls.map(|(version, target)| {
            let addr = tunnel.addr;
            async move {
                let response = Client::connect(version, addr).await.get(target).await;
                assert_eq!(response.status(), 200);
                assert_breaks_after(response, "part").await;
            }
        });
        futures_util::future::join_all(calls).await;
        tunnel.settled().await;
    })
    .await;
}

/// An app whose body breaks off breaks the transfer.
#[tokio::test]
async fn broken_body() {
    within_limit(async {
        for version in VERSIONS {
            let (feed, body) = body::fed();
            let body = single(body);
            let tunnel = Tunnel::serve(app(move |_| {
                let body = body.take();
                async { Response::new(body) }
            }))
            .await;
            let mut feed = feed;
            feed.send_data("part".into()).await.unwrap();
            let response = Client::connect(version, tunnel.addr).await.get("/").await;
            feed.abort("broken".into());
            assert_breaks_after(response, "part").await;
            tunnel.settled().await;
        }
    })
    .await;
}

/// What came may be less than `at_most` when the end overtakes it, but the end is a failure.
async fn assert_breaks_after(response: Response<Incoming>, at_most: &str) {
    let mut body = response.into_body();
    let mut got = Vec::new();
    while let Ok(frame) = body.frame().await.expect("no clean end") {
        got.extend_from_slice(&frame.into_data().expect("no trailers"));
    }
    assert!(at_most.as_bytes().starts_with(&got), "{got:?}");
}
