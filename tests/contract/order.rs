//! Whole stacks over sessions in memory: other orders, and tower's own layers between ours.

use std::{convert::Infallible, future::pending, time::Duration};

use axum::extract::Request as AppRequest;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio_test::task;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use tunnel_core::{BoxError, Outgoing};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    trace_id::TraceIdLayer,
    upgrade::{UpgradeBody, UpgradeLayer},
};
use tunnel_transport::TunnelTransport;

use crate::{
    body::{SECRET, TestBody},
    http::{auth, concurrency, rate_limit, request, route},
    inner::{Answer, Inner},
};
use tunnel_tests::pair::{Fixed, Pair, pair};

/// An agent that gives back what it gets.
fn echo() -> Pair {
    let app = axum::Router::new().fallback(async |request: AppRequest| Response::new(request.into_body()));
    pair("echo", app)
}

async fn assert_echoes<S, RB>(pair: &Pair, service: S)
where
    S: Service<Request<TestBody>, Response = Response<RB>, Future: Send> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError> + std::fmt::Debug,
    RB: Body<Data = Bytes> + Send,
    RB::Error: std::fmt::Debug,
{
    for _ in 0..3 {
        let response = service.clone().oneshot(request()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let whole = response.into_body().collect().await.expect("a whole body");
        assert_eq!(whole.trailers().expect("trailers")["x-trailer"], SECRET);
        assert_eq!(whole.to_bytes(), format!("{SECRET}second"));
    }
    std::future::poll_fn(|cx| pair.gateway.poll_idle(cx)).await;
    std::future::poll_fn(|cx| pair.agent.poll_idle(cx)).await;
    assert_eq!((pair.gateway.pending(), pair.agent.pending()), (0, 0));
}

#[tokio::test]
async fn the_recommended_order_among_towers_layers() {
    let pair = echo();
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response)
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .load_shed()
        .concurrency_limit(2)
        .layer(route())
        .layer(auth())
        .layer(rate_limit())
        .layer(concurrency())
        .timeout(Duration::from_secs(3_600))
        .layer(DeadlineLayer::new())
        .map_err(|error: tunnel_core::TunnelError| -> BoxError { error.into() })
        .layer(BalanceLayer::new(
            Fixed::new([&pair.gateway]),
            LeastPending::new(),
        ))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .concurrency_limit(2)
        .layer(CorrelateLayer::new())
        .map_request(|outgoing: Outgoing| outgoing)
        .service(TunnelTransport::new());
    assert_echoes(&pair, stack.clone()).await;
    let boxed = BoxCloneSyncService::new(stack);
    assert_echoes(&pair, boxed).await;
}

#[tokio::test]
async fn another_order() {
    let pair = echo();
    let stack = ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .layer(concurrency())
        .layer(DeadlineLayer::new())
        .layer(rate_limit())
        .concurrency_limit(1)
        .layer(auth())
        .layer(route())
        .layer(RescueLayer::new())
        .layer(BalanceLayer::new(Fixed::new([&pair.gateway]), RoundRobin::new()))
        .layer(TraceIdLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(TunnelTransport::new());
    assert_echoes(&pair, stack).await;
}

#[tokio::test]
async fn only_what_is_needed() {
    let pair = echo();
    // Somebody else admits, chooses, and turns errors into what they like.
    let session = pair.gateway.clone();
    let stack = ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .map_request(move |mut request: Request<UpgradeBody<TestBody>>| {
            request.extensions_mut().insert(session.clone());
            request
        })
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(TunnelTransport::new());
    assert_echoes(&pair, stack).await;
}

#[tokio::test]
async fn a_buffer_outside_of_all() {
    let pair = echo();
    let stack = ServiceBuilder::new()
        .buffer(4)
        .layer(RescueLayer::new())
        .layer(route())
        .layer(BalanceLayer::new(Fixed::new([&pair.gateway]), RoundRobin::new()))
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(TunnelTransport::new());
    assert_echoes(&pair, stack).await;
}

#[tokio::test]
async fn what_is_shed_is_answered() {
    let service = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .load_shed()
        .concurrency_limit(1)
        .service(service_fn(|_: Request<TestBody>| {
            pending::<Result<Response<String>, BoxError>>()
        }));
    let mut waits = task::spawn(service.clone().oneshot(request()));
    assert!(waits.poll().is_pending());
    let answer: Result<_, Infallible> = service.oneshot(request()).await;
    assert_eq!(answer.expect("an answer").status(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_towers_is_answered() {
    let service = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .timeout(Duration::from_secs(1))
        .service(Inner::new(Answer::Never));
    assert_eq!(service.oneshot(request()).await.expect("an answer").status(), 500);
}
