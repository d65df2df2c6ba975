use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body as AxumBody, extract::Request as AxumRequest, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, sleep};
use tower_service::Service;
use tunnel_core::BoxError;
use tunnel_layers::target::GroupExt as _;

use super::*;
use crate::{Gateway, entry::Entry, entry::RequestBody};

const GROUP: &str = "demo";

/// Every request goes to the one group.
fn stack(
    gateway: &Gateway,
) -> impl Service<
    Request<RequestBody>,
    Response = Response<impl http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + use<>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ use<> {
    gateway.group(GROUP.parse().unwrap())
}

/// Says who answers, echoes, or never does.
fn app(name: &'static str) -> Router {
    Router::new()
        .route("/", get(move || async move { name }))
        .route("/never", get(async || std::future::pending::<&str>().await))
        .route(
            "/slow",
            get(async || {
                sleep(Duration::from_secs(3)).await;
                "slow"
            }),
        )
        .route("/bytes", get(async || vec![7_u8; 1 << 20]))
        .fallback(async |request: AxumRequest| AxumBody::new(request.into_body()))
}

#[tokio::test(start_paused = true)]
async fn requests_go_through_by_either_version_and_nothing_is_left() {
    let tunnel = Tunnel::builder().agent(GROUP, app("one")).start(stack).await;
    for mut client in [tunnel.http1().await, tunnel.http2().await] {
        assert_eq!(client.get("/").await, (StatusCode::OK, "one".to_owned()));
        let request = Request::post("/echo").body(Full::from("what I say")).unwrap();
        let body = client.send(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "what I say");
    }
    assert_eq!(tunnel.sessions(GROUP).len(), 1);
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_fails_what_is_open_and_comes_back() {
    let mut tunnel = Tunnel::builder().agent(GROUP, app("one")).start(stack).await;
    let mut client = tunnel.http2().await;
    let call = tokio::spawn(call_status(tunnel.http2().await, "/never"));
    sleep(Duration::from_millis(5)).await;
    assert_eq!(tunnel.open_exchanges(), 2, "one, at both ends");
    tunnel.agent("demo-1").link().cut();
    assert_eq!(within_limit(call).await.unwrap(), StatusCode::BAD_GATEWAY);
    tunnel.connected().await;
    assert_eq!(tunnel.agents()[0].link().dials(), 2);
    assert_eq!(client.get("/").await.0, StatusCode::OK);
    tunnel.idle().await;
}

async fn call_status(mut client: Client, path: &'static str) -> StatusCode {
    let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    client.send(request).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_down_is_dialled_until_it_is_up() {
    let mut tunnel = Tunnel::builder().agent(GROUP, app("one")).start(stack).await;
    tunnel.agent("demo-1").link().down();
    sleep(Duration::from_secs(10)).await;
    let mut client = tunnel.http1().await;
    assert_eq!(client.get("/").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(tunnel.agents()[0].link().dials() > 100);
    tunnel.agent("demo-1").link().up();
    tunnel.connected().await;
    assert_eq!(client.get("/").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_half_a_round_trip() {
    let tunnel = Tunnel::builder()
        .agent(GROUP, app("one"))
        .faults(|link| link.delay(Duration::from_millis(200)))
        .start(stack)
        .await;
    let mut client = tunnel.http2().await;
    let start = Instant::now();
    assert_eq!(client.get("/").await.0, StatusCode::OK);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_millis(420),
        "{took:?}"
    );
    let start = Instant::now();
    let (_, text) = client.get("/bytes").await;
    assert_eq!(text.len(), 1 << 20);
    // One for the request and the first 256 KiB, and one for the credit of the rest, which has grown.
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(800) && took < Duration::from_millis(820),
        "credit has to come back: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_and_what_was_frozen_goes_on() {
    let mut tunnel = Tunnel::builder().agent(GROUP, app("one")).start(stack).await;
    let slow = tokio::spawn(call_status(tunnel.http1().await, "/slow"));
    sleep(Duration::from_secs(1)).await;
    let link = tunnel.agent("demo-1").link().clone();
    link.freeze();
    sleep(Duration::from_secs(5)).await;
    assert!(!slow.is_finished());
    link.thaw();
    assert_eq!(within_limit(slow).await.unwrap(), StatusCode::OK);

    link.freeze();
    let start = Instant::now();
    let never = call_status(tunnel.http1().await, "/never");
    assert_eq!(within_limit(never).await, StatusCode::BAD_GATEWAY);
    assert!(
        start.elapsed() <= Duration::from_secs(26),
        "{:?}",
        start.elapsed()
    );
    link.thaw();
    tunnel.connected().await;
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
async fn lanes_and_sessions_that_are_lost_come_back() {
    let mut tunnel = Tunnel::builder()
        .agent_with(GROUP, app("one"), |agent| agent.lanes(2))
        .start(stack)
        .await;
    let before = tunnel.sessions(GROUP)[0].id();
    tunnel.agent("demo-1").lose_lane(0);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tunnel.sessions(GROUP)[0].lanes().len(), 2, "it is open again");
    assert_eq!(tunnel.sessions(GROUP)[0].id(), before);

    tunnel.agent("demo-1").drop_session();
    tunnel.connected().await;
    assert_ne!(tunnel.sessions(GROUP)[0].id(), before);
    assert_eq!(tunnel.http1().await.get("/").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn agents_are_killed_stop_and_come_again() {
    let mut tunnel = Tunnel::builder()
        .agent(GROUP, app("one"))
        .agent(GROUP, app("two"))
        .start(stack)
        .await;
    let mut client = tunnel.http2().await;
    tunnel.agent("demo-1").kill().await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(client.get("/").await.1, "two");
    tunnel.connected().await;

    let slow = tokio::spawn(call_status(tunnel.http1().await, "/slow"));
    sleep(Duration::from_millis(10)).await;
    tunnel.agent("demo-2").stop().await;
    assert_eq!(
        within_limit(slow).await.unwrap(),
        StatusCode::OK,
        "it finishes what it has"
    );
    assert_eq!(client.get("/").await.0, StatusCode::SERVICE_UNAVAILABLE);

    tunnel.agent("demo-1").restart().await;
    tunnel.connected().await;
    assert_eq!(client.get("/").await.1, "one");
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_refuses_is_passed_over() {
    let tunnel = Tunnel::builder()
        .agent(GROUP, Refusing)
        .agent(GROUP, app("two"))
        .start(stack)
        .await;
    let mut client = tunnel.http1().await;
    for _ in 0..8 {
        assert_eq!(client.get("/").await, (StatusCode::OK, "two".to_owned()));
    }
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_gets_all_of_it_and_holds_up_nobody() {
    let tunnel = Tunnel::builder().agent(GROUP, app("one")).start(stack).await;
    let (mut slow, mut fast) = (tunnel.http2().await, tunnel.http1().await);
    let request = Request::get("/bytes").body(Full::<Bytes>::default()).unwrap();
    let start = Instant::now();
    let body = slow.send(request).await.unwrap().into_body();
    let read = tokio::spawn(Slowly::new(body, Duration::from_millis(500)).collect());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(fast.get("/").await.0, StatusCode::OK);
    let whole = within_limit(read).await.unwrap().unwrap().to_bytes();
    assert_eq!(whole.len(), 1 << 20);
    assert!(start.elapsed() > Duration::from_secs(10), "{:?}", start.elapsed());
    tunnel.idle().await;

    let upload = Slowly::new(Full::from("late"), Duration::from_secs(2));
    assert_eq!(upload.size_hint().exact(), Some(4));
    let answer = slow
        .send(Request::post("/echo").body(upload).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "late");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_drains_and_another_one_comes() {
    let mut tunnel = Tunnel::builder()
        .agent(GROUP, app("one"))
        .entry(Entry::new().lame_duck(Duration::from_secs(1)))
        .start(stack)
        .await;
    let slow = tokio::spawn(call_status(tunnel.http2().await, "/slow"));
    sleep(Duration::from_millis(10)).await;
    tunnel.begin_to_stop(Duration::from_secs(5));
    tunnel.stopped().await;
    assert_eq!(slow.await.unwrap(), StatusCode::OK);

    tunnel.restart_gateway().await;
    tunnel.connected().await;
    assert_eq!(tunnel.http1().await.get("/").await.0, StatusCode::OK);
    tunnel.restart_gateway().await;
    tunnel.connected().await;
    assert_eq!(tunnel.http1().await.get("/").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "2 exchanges are open")]
async fn what_is_left_is_told() {
    let tunnel = Tunnel::builder().agent(GROUP, app("one")).start(stack).await;
    let _open = tokio::spawn(call_status(tunnel.http1().await, "/never"));
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "not every agent connects")]
async fn an_agent_that_does_not_connect_is_told() {
    let tunnel = Tunnel::builder()
        .agent(GROUP, app("one"))
        .faults(Link::down)
        .start_unconnected(stack);
    tunnel.connected().await;
}
