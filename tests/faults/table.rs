//! What the outside sees of each fault, as HTTP and as gRPC.

use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::net::TcpSocket;
use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{GROUP, Tunnel, closed_port, group};
use tunnel_transport::Upstream;

use crate::{
    http2::{self, H2},
    world::{World, within},
};

/// One fault: how to meet it, and what must come of it.
struct Row {
    method: &'static str,
    path: &'static str,
    /// The bytes of one large field.
    field: usize,
    status: u16,
    grpc: &'static str,
    word: &'static str,
}

const fn row(path: &'static str, status: u16, grpc: &'static str, word: &'static str) -> Row {
    Row {
        method: "POST",
        path,
        field: 0,
        status,
        grpc,
        word,
    }
}

const ROWS: [Row; 6] = [
    row("/nothing", 404, "5", "no-route"),
    row("/nobody", 503, "14", "no-agent"),
    row("/dead", 502, "14", "upstream"),
    row("/wait", 504, "4", "deadline"),
    Row {
        method: "TRACE",
        ..row("/fast", 501, "12", "method-not-served")
    },
    Row {
        field: 40 * 1024,
        ..row("/fast", 431, "8", "head-too-large")
    },
];

/// Rules and agents for every row.
async fn world() -> (World, TcpSocket) {
    let rules = [
        Rule::group("slow", group(GROUP))
            .path_exact("/wait")
            .timeout(Duration::from_millis(50)),
        Rule::group("fast", group(GROUP)).path_exact("/fast"),
        Rule::group("nobody", group("nobody")).path_exact("/nobody"),
        Rule::group("dead", group("dead")).path_exact("/dead"),
    ];
    let mut world = World::without_agent(Tunnel::builder().rules(rules)).await;
    let router = world.app.router();
    world.tunnel.add_agent(GROUP, router).await;
    let (port, closed) = closed_port();
    let upstream = Upstream::http1(format!("http://{closed}")).expect("an address of our own");
    world.tunnel.add_agent("dead", upstream).await;
    (world, port)
}

fn request(row: &Row) -> Request<()> {
    let mut request = http2::request(row.method, row.path);
    if row.field > 0 {
        let value = "v".repeat(row.field).parse().expect("a valid value");
        request.headers_mut().insert("x-large", value);
    }
    request
}

fn assert_named(row: &Row, headers: &HeaderMap) {
    assert_eq!(headers["x-tunnel-error"], row.word, "{}", row.path);
    let id = headers["x-trace-id"].to_str().expect("text");
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
}

#[tokio::test]
async fn a_fault_is_a_problem_document() {
    within(async {
        let (world, _port) = world().await;
        let mut client = H2::connect(world.addr()).await;
        for row in &ROWS {
            let (response, _) = client.open(request(row), true).await;
            let response = http2::head(response).await;
            assert_eq!(response.status(), row.status, "{}", row.path);
            let (parts, body) = response.into_parts();
            assert_named(row, &parts.headers);
            assert_eq!(parts.headers["content-type"], "application/problem+json");
            let document = http2::read_all(body).await.expect("a whole document");
            let document = std::str::from_utf8(&document).expect("JSON is UTF-8");
            let id = parts.headers["x-trace-id"].to_str().expect("text");
            for part in [
                format!("\"status\":{}", row.status),
                format!("\"cause\":\"{}\"", row.word),
                id.to_owned(),
            ] {
                assert!(document.contains(&part), "{part} is not in {document}");
            }
            client.fast().await;
        }
        client.assert_open();
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_fault_is_a_grpc_status_in_trailers_only() {
    within(async {
        let (world, _port) = world().await;
        let mut client = H2::connect(world.addr()).await;
        for row in &ROWS {
            let mut request = request(row);
            request.headers_mut().insert(
                "content-type",
                "application/grpc+proto".parse().expect("a valid value"),
            );
            let (response, _) = client.open(request, true).await;
            let response: Response<_> = http2::head(response).await;
            assert_eq!(response.status(), 200, "{}", row.path);
            assert_named(row, response.headers());
            assert_eq!(response.headers()["grpc-status"], row.grpc, "{}", row.path);
            assert_eq!(response.headers()["content-type"], "application/grpc");
            assert!(response.headers().contains_key("grpc-message"));
            assert!(response.body().is_end_stream(), "trailers only");
            client.fast().await;
        }
        client.assert_open();
        world.settled().await;
    })
    .await;
}
