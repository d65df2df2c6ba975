use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http::{HeaderValue, Request, Response};
use proptest::prelude::*;
use tokio::time::{Instant, advance};
use tonic::Status;
use tonic_types::StatusExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{Limit, Limits, Routed, Target};

use super::{
    limiter::{Limiter, Verdict},
    table::Table,
    *,
};
use crate::{
    key::{ByAddress, ByHeader, ByRoute, Head, Key},
    test_util::{Probe, Scripted, assert_send, assert_shareable, axum_request, grpc_request, ready, request},
};

const SECOND: Duration = Duration::from_secs(1);

fn ok() -> impl Service<Request<Scripted>, Response = Response<Scripted>, Error = Infallible> + Clone {
    service_fn(|_: Request<Scripted>| std::future::ready(Ok(Response::new(Scripted::default()))))
}

async fn status<S, RB>(service: &S, request: Request<Scripted>) -> u16
where
    S: Service<Request<Scripted>, Response = Response<RB>, Error = Infallible> + Clone,
{
    let Ok(answer) = service.clone().oneshot(request).await;
    answer.status().as_u16()
}

fn by(value: &'static str) -> Request<Scripted> {
    let mut request = request("/");
    request
        .headers_mut()
        .insert("x-key", HeaderValue::from_static(value));
    request
}

fn of_rule(rule: &str, limits: &Arc<Limits>) -> Request<Scripted> {
    let mut request = request("/");
    let limits = Some(limits.clone());
    let target = Target::Group("g".parse().unwrap());
    let mut routed = Routed::new(rule, target);
    routed.limits = limits;
    request.extensions_mut().insert(routed);
    request
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_the_rate() {
    let service = RateLimitLayer::per_second(10).burst(3).layer(ok());
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&service, request("/")).await, expected);
    }
    advance(Duration::from_millis(99)).await;
    assert_eq!(status(&service, request("/")).await, 429);
    advance(Duration::from_millis(1)).await;
    for expected in [200, 429] {
        assert_eq!(status(&service, request("/")).await, expected);
    }
    advance(SECOND).await;
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&service, request("/")).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_goes_nowhere_and_says_when_to_come_back() {
    let probe = Probe::new();
    let calls = probe.calls();
    let mut service = RateLimitLayer::per(1, 10 * SECOND).layer(probe);
    ready(&mut service).await.call(request("/")).await.unwrap();
    let answer = ready(&mut service).await.call(request("/")).await.unwrap();
    assert_eq!(answer.headers()["x-tunnel-error"], "rate-limited");
    assert_eq!(answer.headers()["retry-after"], "10");
    assert_eq!(answer.headers()["ratelimit-policy"], "\"default\";q=1;w=10");
    assert_eq!(answer.headers()["ratelimit"], "\"default\";r=0;t=10");

    advance(Duration::from_millis(8_500)).await;
    let answer = ready(&mut service).await.call(grpc_request()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "8");
    assert_eq!(answer.headers()["ratelimit"], "\"default\";r=0;t=2");
    let status = Status::from_header_map(answer.headers()).unwrap();
    let retry = status.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(retry, Some(Duration::from_millis(1_500)));
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn every_response_tells_if_it_shall() {
    let quiet = RateLimitLayer::per_minute(60).burst(5);
    let answer = quiet.layer(ok()).oneshot(request("/")).await.unwrap();
    assert!(!answer.headers().contains_key("ratelimit"));

    let layer = quiet.name("all").tell_always(true);
    let outer = RateLimitLayer::per_second(1).tell_always(true);
    let service = outer.layer(layer.layer(ok()));
    let answer = service.clone().oneshot(request("/")).await.unwrap();
    let told = |name: &str| -> Vec<_> { answer.headers().get_all(name).into_iter().cloned().collect() };
    assert_eq!(told("ratelimit"), ["\"all\";r=4;t=1", "\"default\";r=0;t=1"]);
    assert_eq!(
        told("ratelimit-policy"),
        ["\"all\";q=60;w=60", "\"default\";q=1;w=1"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_key_has_the_rate_for_itself_and_some_requests_have_none() {
    let service = RateLimitLayer::per_second(1)
        .key(ByHeader::new("x-key".parse().unwrap()))
        .layer(ok());
    for (key, expected) in [("a", 200), ("b", 200), ("a", 429), ("b", 429), ("c", 200)] {
        assert_eq!(status(&service, by(key)).await, expected, "{key}");
    }
    // Those without the header are one.
    assert_eq!(status(&service, request("/")).await, 200);
    assert_eq!(status(&service, request("/")).await, 429);

    let exempt = |head: &Head<'_>| (head.uri.path() != "/free").then(|| Key::of("all"));
    let service = RateLimitLayer::per_second(1).key(exempt).layer(ok());
    for (path, expected) in [("/", 200), ("/", 429), ("/free", 200), ("/free", 200)] {
        assert_eq!(status(&service, request(path)).await, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_router_share_the_rate() {
    let layer = RateLimitLayer::per_second(5).key(ByAddress::new());
    let app: Router = Router::new()
        .route("/", get(|| async { "app" }))
        .layer(layer.clone());
    // Another service of the same layer, further out.
    let outer: Router = Router::new().fallback_service(layer.layer(app.clone()));
    let mut seen = Vec::new();
    for _ in 0..4 {
        // As a server does for each connection.
        let (one, other) = (app.clone(), outer.clone());
        seen.push(one.oneshot(axum_request("/")).await.unwrap().status().as_u16());
        seen.push(other.oneshot(axum_request("/")).await.unwrap().status().as_u16());
    }
    // Requests through both are counted twice.
    assert_eq!(seen, [200, 200, 200, 429, 429, 429, 429, 429]);
    assert_eq!(layer.keys(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_have_a_rate_of_its_own_or_none() {
    let layer = RateLimitLayer::per_second(1).name("here");
    let service = layer.layer(ok());
    let slow = Arc::new(Limits::new().rate("here", Rate::per_second(3)));
    let free = Arc::new(Limits::new().rate("here", Limit::Unlimited));
    let other = Arc::new(Limits::new().rate("elsewhere", Rate::per_hour(1)));
    for expected in [200, 200, 200, 429] {
        assert_eq!(status(&service, of_rule("slow", &slow)).await, expected);
    }
    // Another rule that says the same is counted apart.
    assert_eq!(status(&service, of_rule("slow-too", &slow)).await, 200);
    for _ in 0..9 {
        assert_eq!(status(&service, of_rule("free", &free)).await, 200);
    }
    // What is said to others, or not at all, leaves the layer's own rate.
    assert_eq!(status(&service, of_rule("other", &other)).await, 200);
    assert_eq!(status(&service, request("/")).await, 429);
}

#[tokio::test(start_paused = true)]
async fn rules_that_are_loaded_anew_keep_their_count_and_old_ones_go() {
    let layer = RateLimitLayer::per_second(1);
    let service = layer.layer(ok());
    let said = |requests| Arc::new(Limits::new().rate("default", Rate::new(requests, SECOND)));
    let first = said(2);
    for expected in [200, 200, 429] {
        assert_eq!(status(&service, of_rule("r", &first)).await, expected);
    }
    assert_eq!(status(&service, of_rule("r", &said(2))).await, 429);
    // Another rate: the debt stays, in time.
    let faster = said(4);
    assert_eq!(status(&service, of_rule("r", &faster)).await, 429);
    advance(SECOND / 4).await;
    assert_eq!(status(&service, of_rule("r", &faster)).await, 200);

    for number in 0..100 {
        status(&service, of_rule(&format!("gone-{number}"), &said(1))).await;
    }
    assert!(layer.rules() <= 2);
}

#[tokio::test(start_paused = true)]
async fn the_route_can_be_the_key() {
    let service = RateLimitLayer::per_second(1)
        .key((ByRoute, ByAddress::new()))
        .layer(ok());
    let nothing = Arc::default();
    for (rule, expected) in [("a", 200), ("a", 429), ("b", 200)] {
        assert_eq!(status(&service, of_rule(rule, &nothing)).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_do_not_fit_and_do_no_harm() {
    let table = Arc::new(Table::new(10_000));
    let limiter = Limiter::new("x", Rate::per_minute(2), &table);
    let is_within = |key: Key| matches!(limiter.check(key), Verdict::Within { .. });
    let known = Key::of("known");
    assert!(is_within(known));
    let passed = (0..1_000_000_u32)
        .filter(|number| is_within(Key::of(number)))
        .count();
    assert!(table.len() <= 10_000, "{table:?}");
    // Each that found a place, and the two of the bucket that all others share.
    assert_eq!(passed, table.len() - 1 + 2);

    // Who was there before has what is due, and no more.
    assert!(is_within(known) && !is_within(known));
    // A minute later there is room for all again.
    advance(61 * SECOND).await;
    assert!((0..1_000_u32).all(|number| is_within(Key::of(&("new", number)))));
    assert!(table.len() <= 10_000, "{table:?}");
}

#[tokio::test(start_paused = true)]
async fn a_table_for_next_to_nothing_has_room_for_something() {
    let layer = RateLimitLayer::per_second(1)
        .max_keys(0)
        .key(ByHeader::new("x-key".parse().unwrap()));
    let service = layer.layer(ok());
    // The first has a place, and the second has one too, or is the first of those that share what is left.
    for key in ["a", "b"] {
        assert_eq!(status(&service, by(key)).await, 200);
    }
    assert!((1..=16).contains(&layer.keys()));
}

#[tokio::test(start_paused = true)]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = RateLimitLayer::per_second(100).key(ByAddress::new());
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for _ in 0..2 {
        let future = ready(&mut service).await.call(request("/"));
        assert_send(&future);
        assert_eq!(future.await.unwrap().status(), 200);
    }
}

proptest! {
    /// In no stretch of time does more pass than a burst and what came back meanwhile, and whoever waits as told passes.
    #[test]
    fn no_more_passes_than_the_rate_allows(
        requests in 1..20_u32,
        burst in 1..30_u32,
        steps in proptest::collection::vec(0..400_u64, 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let rate = Rate::per_second(requests).burst(burst);
            let limiter = Limiter::new("x", rate, &Arc::new(Table::new(100)));
            let start = Instant::now();
            let mut passed = Vec::new();
            for step in steps {
                advance(Duration::from_millis(step)).await;
                match limiter.check(Key::of("k")) {
                    Verdict::Within { remaining, .. } => {
                        assert!(remaining < burst);
                        passed.push(start.elapsed());
                    }
                    Verdict::Beyond { retry_after } => {
                        assert!(!retry_after.is_zero());
                        advance(retry_after).await;
                        assert!(matches!(limiter.check(Key::of("k")), Verdict::Within { .. }));
                        passed.push(start.elapsed());
                    }
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let back = (*to - *from).as_nanos() / rate.interval().as_nanos();
                    assert!((last - first + 1) as u128 <= u128::from(burst) + back);
                }
            }
        });
    }
}
