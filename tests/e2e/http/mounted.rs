//! The stack inside somebody's own server.

use std::{future::IntoFuture as _, net::SocketAddr};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode};
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
};
use tunnel_tests::{
    body,
    client::{Client, RawClient, Version},
    origin::{Origin, Seen, app, recorder},
    tunnel::{GROUP, Tunnel, address, group, listener, stack},
    wait::within_limit,
};
use tunnel_transport::Upstream;

use super::refusals::assert_problem;

/// An axum app with a route of its own, and the tunnel for everything else.
fn with_fallback(tunnel: &Tunnel) -> Router {
    let rules = vec![Rule::group("app", group(GROUP)).path_prefix("/app")];
    Router::new()
        .route("/healthz", get(async || "ok"))
        .fallback_service(stack(&tunnel.gateway, rules))
}

async fn tunnel() -> (Tunnel, Seen) {
    let (app, seen) = recorder("tunnelled");
    (Tunnel::serve(app).await, seen)
}

/// The app's own route, the tunnel's, a miss, and a request that hyper lets through.
async fn check(addr: SocketAddr, seen: &mut Seen) {
    for version in [Version::Http1, Version::Http2] {
        let mut client = Client::connect(version, addr).await;
        assert_eq!(body::whole(client.get("/healthz").await).await, "ok");
        let request = Request::post("/app/a%2Fb?c=%zz")
            .header("x-forwarded-for", "203.0.113.9")
            .body(body::sized(100_000))
            .unwrap();
        let response = client.send(request).await.unwrap();
        assert!(response.headers().contains_key("x-trace-id"));
        assert_eq!(body::whole(response).await, "tunnelled");
        let (parts, body) = seen.next().await.into_parts();
        assert_eq!(parts.uri.path_and_query().unwrap().as_str(), "/app/a%2Fb?c=%zz");
        assert_eq!(parts.headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(body.to_bytes().len(), 100_000);
        let (parts, body) = client.get("/other").await.into_parts();
        assert_problem(
            parts.status,
            &parts.headers,
            &body::whole(body).await,
            (404, "no-route"),
        );
    }
    let mut raw = RawClient::connect(addr).await;
    let response = raw.call("GET /app HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    assert_problem(
        response.status,
        &response.headers,
        &response.body,
        (400, "malformed"),
    );
    seen.assert_none();
}

#[tokio::test]
async fn by_the_gateway() {
    within_limit(async {
        let (tunnel, mut seen) = tunnel().await;
        let listener = listener().await;
        let addr = address(&listener);
        let mut tasks = JoinSet::new();
        tasks.spawn(
            tunnel
                .gateway
                .serve(listener, with_fallback(&tunnel))
                .into_future(),
        );
        check(addr, &mut seen).await;
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn by_axum() {
    within_limit(async {
        let (tunnel, mut seen) = tunnel().await;
        let listener = listener().await;
        let addr = address(&listener);
        let app = with_fallback(&tunnel).into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(axum::serve(listener, app).into_future());
        check(addr, &mut seen).await;
        tunnel.settled().await;
    })
    .await;
}

/// The layers that cannot be left out are few; a miss goes to an app beside the tunnel.
#[tokio::test]
async fn by_hand_with_an_app_for_misses() {
    within_limit(async {
        let (tunnel, mut seen) = tunnel().await;
        let rules = Rules::compile([Rule::group("app", group(GROUP)).path_prefix("/app")]).unwrap();
        let beside = app(|request| async move {
            let path = request.uri().path().to_owned();
            Response::builder()
                .status(StatusCode::IM_A_TEAPOT)
                .body(Body::from(path))
                .unwrap()
        });
        let stack = ServiceBuilder::new()
            .layer(TraceIdLayer::new())
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(rules).or(beside))
            .layer(BalanceLayer::new(tunnel.gateway.agents(), LeastPending::new()))
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(tunnel.gateway.transport());
        let listener = listener().await;
        let addr = address(&listener);
        let mut tasks = JoinSet::new();
        tasks.spawn(tunnel.gateway.serve(listener, stack).into_future());
        for version in [Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, addr).await;
            assert_eq!(body::whole(client.get("/app").await).await, "tunnelled");
            assert_eq!(seen.next().await.uri().path(), "/app");
            let response = client.get("/beside").await;
            assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
            assert!(
                response.headers().contains_key("x-trace-id")
                    && !response.headers().contains_key("x-tunnel-error")
            );
            assert_eq!(body::whole(response).await, "/beside");
        }
        seen.assert_none();
        tunnel.settled().await;
    })
    .await;
}

/// Rules may send requests to an upstream beside the gateway, too.
#[tokio::test]
async fn with_upstreams() {
    within_limit(async {
        let (tunnel, mut seen) = tunnel().await;
        let (files, mut seen_files) = recorder("a file");
        let origin = Origin::http1(files).await;
        let rules = Rules::compile_with_upstreams([
            Rule::upstream("files", "files")
                .path_prefix("/files")
                .strip_prefix(),
            Rule::group("app", group(GROUP)),
        ]);
        let upstream = Upstream::http1(origin.uri()).unwrap();
        let (route, split) = RouteLayer::with_upstreams(rules.unwrap(), upstream);
        let stack = ServiceBuilder::new()
            .layer(TraceIdLayer::new())
            .layer(RescueLayer::new())
            .layer(route)
            .layer(split)
            .layer(BalanceLayer::new(tunnel.gateway.agents(), LeastPending::new()))
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(tunnel.gateway.transport());
        let listener = listener().await;
        let addr = address(&listener);
        let mut tasks = JoinSet::new();
        tasks.spawn(tunnel.gateway.serve(listener, stack).into_future());
        for version in [Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, addr).await;
            assert_eq!(body::whole(client.get("/files/a%2Fb?c").await).await, "a file");
            let file = seen_files.next().await;
            assert_eq!(file.uri().path_and_query().unwrap().as_str(), "/a%2Fb?c");
            assert_eq!(file.headers()["x-forwarded-for"], "127.0.0.1");
            assert_eq!(body::whole(client.get("/app").await).await, "tunnelled");
            assert_eq!(seen.next().await.uri().path(), "/app");
        }
        tunnel.settled().await;
    })
    .await;
}
