//! A gateway without a tunnel, and upstreams of several servers, from files.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use axum::{Router, body::Body, extract::ws::WebSocketUpgrade, response::Response, routing::get as on_get};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use tunnel_tests::{
    client::{Client, Version},
    origin::{self, Origin},
    tunnel::closed_port,
    wait::within_limit,
    websocket::{Frame, echo, handshake, open},
};

use crate::{
    program::{Running, program},
    world::{Files, Pair, get},
};

/// A server of HTTP/1.1 that says its name.
async fn named(name: &'static str) -> Origin {
    let app = Router::new()
        .route(
            "/echo",
            on_get(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
        )
        .route("/stuck", on_get(std::future::pending::<()>))
        .fallback(async move || name);
    Origin::http1(app).await
}

/// A server of gRPC whose services nobody knows: it sends back the message that came, and says in the trailers what was called.
async fn unknown_services() -> Origin {
    let app = origin::app(async |request: axum::extract::Request| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let called = HeaderValue::from_str(request.uri().path()).expect("a path is a value");
        trailers.insert("x-called", called);
        let message = request
            .into_body()
            .collect()
            .await
            .expect("a whole message")
            .to_bytes();
        let body = Full::new(message).with_trailers(async { Some(Ok::<_, Infallible>(trailers)) });
        let mut response = Response::new(Body::new(body));
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, grpc);
        response
    });
    Origin::h2c(app).await
}

/// A gateway that runs, and its ports in the order of the file.
async fn start(files: &Files, text: &str) -> (Running, Vec<SocketAddr>) {
    let file = files.write("proxy.yaml", text);
    let mut gateway = Running::start(program("gateway", &["--config", &file]));
    let ready = gateway.line("ready listen=").await;
    let ports = ready.split(',').map(|port| port.parse().expect("an address"));
    (gateway, ports.collect())
}

#[tokio::test]
async fn one_file_is_a_gateway_with_several_proxies() {
    let (one, two, calls) = (named("one").await, named("two").await, unknown_services().await);
    let text = format!(
        "\
upstreams:
  site:
    endpoints: [{{url: \"{}\", weight: 3}}, \"{}\"]
    balance: round-robin
  calls:
    endpoints: [\"{}\"]
    protocol: h2c
    balance: weighted-random
    health: {{tcp: true}}
listeners:
  - name: public
    listen: 127.0.0.1:0
    timeouts: {{head: 300ms}}
    rules: [{{id: site, upstream: site}}]
  - name: grpc
    listen: 127.0.0.1:0
    rules: [{{id: calls, grpc: true, upstream: calls}}]
",
        one.uri(),
        two.uri(),
        calls.uri(),
    );
    let files = Files::new();
    let (gateway, ports) = start(&files, &text).await;
    let [public, grpc] = ports[..] else {
        panic!("two ports: {ports:?}")
    };
    within_limit(async {
        let mut answers = BTreeMap::new();
        for _ in 0..40 {
            let (status, name) = get(public, "/").await;
            assert_eq!(status, 200);
            *answers.entry(name).or_insert(0) += 1;
        }
        assert_eq!(answers, [("one".to_owned(), 30), ("two".to_owned(), 10)].into());
        assert_eq!(get(public, "/stuck").await.0, 504, "by the timeouts of this port");

        for version in [Version::Http1, Version::Http2] {
            let opened = open(version, public, handshake("/echo")).await;
            let (_, mut socket) = opened.upgraded();
            socket.send(&Frame::text("hello")).await;
            assert_eq!(socket.recv().await, Frame::text("hello"), "{version:?}");
            socket.close(1000, "").await;
        }

        let mut client = Client::connect(Version::Http2, grpc).await;
        let message: &[u8] = b"\0\0\0\0\x03any";
        let request = Request::post("/nobody.knows.v1.This/Call")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Body::from(message));
        let answer = client.send(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let answer = answer.into_body().collect().await.expect("a body");
        let trailers = answer.trailers().expect("trailers").clone();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-called"], "/nobody.knows.v1.This/Call");
        assert_eq!(answer.to_bytes(), message);
        assert_eq!(get(grpc, "/").await.0, 404, "the other port has other rules");
    })
    .await;
    gateway.signal("TERM");
    let ended = within_limit(gateway.ended()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn the_file_changes_while_the_gateway_proxies() {
    let (one, two) = (named("one").await, named("two").await);
    let text = |upstream: &Origin, port: &str| {
        format!(
            "reload: {{interval: off}}\nupstreams: {{site: {{url: \"{}\"}}}}\nlisteners:\n  - name: public\n    listen: {port}\n    \
             rules: [{{id: site, upstream: site}}]\n",
            upstream.uri()
        )
    };
    let files = Files::new();
    let (gateway, ports) = start(&files, &text(&one, "127.0.0.1:0")).await;
    within_limit(async {
        assert_eq!(get(ports[0], "/").await.1, "one");
        files.write("proxy.yaml", &text(&two, "127.0.0.1:0"));
        gateway.signal("HUP");
        while get(ports[0], "/").await.1 != "two" {}
    })
    .await;
}

#[tokio::test]
async fn an_agent_balances_over_endpoints_and_leaves_out_the_dead() {
    let (one, two) = (named("one").await, named("two").await);
    let (_port, gone) = closed_port();
    let upstream = format!(
        "{{endpoints: [\"http://{gone}\", \"{}\", \"{}\"], balance: round-robin}}",
        one.uri(),
        two.uri()
    );
    let pair = Pair::start("  - id: web\n    group: web\n", &upstream).await;
    within_limit(async {
        let mut answers = BTreeMap::new();
        for _ in 0..30 {
            let (status, name) = get(pair.gateway.listen, "/").await;
            assert_eq!(status, 200);
            *answers.entry(name).or_insert(0) += 1;
        }
        assert!(answers["one"] >= 10 && answers["two"] >= 10, "{answers:?}");
    })
    .await;
}
