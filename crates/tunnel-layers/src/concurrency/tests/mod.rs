mod exchanges;
mod overload;
mod places;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{Lifetime, Limit, Limits, Routed, Target};

use super::*;
use crate::{
    key::{ByAddress, ByHeader, ByRoute},
    test_util::{
        Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc_request, ready, request,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// Answers at once, with a body that never ends.
fn endless() -> impl Service<Request<Scripted>, Response = Response<Scripted>, Error = Infallible> + Clone {
    service_fn(|_: Request<Scripted>| async {
        Ok(Response::new(Scripted::new([Step::Data("x"), Step::Hang])))
    })
}

fn by(key: &'static str) -> Request<Scripted> {
    let mut request = request("/");
    request
        .headers_mut()
        .insert("x-key", HeaderValue::from_static(key));
    request
}

fn by_header() -> ByHeader {
    ByHeader::new(http::HeaderName::from_static("x-key"))
}

fn load(layer: &ConcurrencyLayer<impl Clone>) -> (usize, usize) {
    let Load { running, waiting } = layer.load();
    (running, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_body_ends_fails_or_is_dropped() {
    let layer = ConcurrencyLayer::new();
    let whole: fn() -> Scripted = || Scripted::of(["a", "b"]);
    let failing: fn() -> Scripted = || Scripted::new([Step::Data("x"), Step::Fail("broken".into())]);
    for (body, is_read) in [(whole, true), (failing, true), (whole, false)] {
        let service = service_fn(move |_: Request<Scripted>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(body())))
        });
        let answer = layer.layer(service).oneshot(request("/")).await.unwrap();
        let mut body = Box::pin(answer.into_body());
        assert_eq!(load(&layer), (1, 0));
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(load(&layer), (1, 0));
        if is_read {
            while let Some(Ok(_)) = body.frame().await {}
        } else {
            drop(body);
        }
        assert_eq!(load(&layer), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_or_is_dropped_gives_its_place_back() {
    let layer = ConcurrencyLayer::new();
    let failing = service_fn(|_: Request<Scripted>| async { Err::<Response<Scripted>, _>("it failed") });
    assert!(layer.layer(failing).oneshot(request("/")).await.is_err());
    assert_eq!(load(&layer), (0, 0));

    let silent =
        service_fn(|_: Request<Scripted>| std::future::pending::<Result<Response<Scripted>, Infallible>>());
    let mut call = Box::pin(layer.layer(silent).oneshot(request("/")));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(load(&layer), (1, 0));
    drop(call);
    assert_eq!(load(&layer), (0, 0));

    let panicking = service_fn(|_: Request<Scripted>| async {
        std::panic::resume_unwind(Box::new("on purpose"));
        #[allow(unreachable_code)]
        Ok::<_, Infallible>(Response::new(Scripted::default()))
    });
    let result = tokio::spawn(layer.layer(panicking).oneshot(request("/"))).await;
    assert!(result.unwrap_err().is_panic());
    assert_eq!(load(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_stream_keeps_the_place() {
    let layer = ConcurrencyLayer::new();
    let (sender, kept) = std::sync::mpsc::channel();
    let service = service_fn(move |mut request: Request<Scripted>| {
        sender.send(Lifetime::of(request.extensions_mut())).unwrap();
        std::future::ready(Ok::<_, Infallible>(Response::new(Scripted::default())))
    });
    let mut asks = request("/");
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        asks.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = layer.layer(service).oneshot(asks).await.unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(load(&layer), (1, 0));
    drop(kept.recv().unwrap());
    assert_eq!(load(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded_in_length_and_in_time() {
    let layer = ConcurrencyLayer::new()
        .max(2)
        .queue(2)
        .max_wait(SECOND)
        .retry_after(7 * SECOND);
    let service = layer.layer(endless());
    let call = |request| service.clone().oneshot(request);
    let _running = [call(request("/")).await, call(request("/")).await];
    let start = Instant::now();
    let mut waiting = [Box::pin(call(request("/"))), Box::pin(call(grpc_request()))];
    for call in &mut waiting {
        assert!(call.as_mut().now_or_never().is_none());
    }
    assert_eq!(load(&layer), (2, 2));

    // No room in line: at once.
    let refused = call(request("/")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["x-tunnel-error"], "overloaded");
    assert_eq!(refused.headers()["retry-after"], "7");
    assert_eq!(start.elapsed(), Duration::ZERO);

    let [plain, grpc] = waiting;
    let late = plain.await.unwrap();
    assert_eq!((late.status().as_u16(), start.elapsed()), (503, SECOND));
    let late = grpc.await.unwrap();
    assert_eq!(late.headers()["grpc-status"], "14");
    assert_eq!(load(&layer), (2, 0));

    // Nobody waits where there is no line.
    let service = layer.queue(0).max(1).layer(endless());
    let _running = service.clone().oneshot(request("/")).await;
    let refused = service.oneshot(request("/")).now_or_never().unwrap().unwrap();
    assert_eq!(refused.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_and_who_leaves_is_not() {
    let layer = ConcurrencyLayer::new().max(1);
    let service = layer.layer(endless());
    let running = service.clone().oneshot(request("/")).await;
    let mut waiting: Vec<_> = (0..4)
        .map(|_| tokio_test::task::spawn(service.clone().oneshot(request("/"))))
        .collect();
    for call in &mut waiting {
        assert!(call.poll().is_pending());
    }
    // The second leaves. Nobody has a reason to wake.
    drop(waiting.remove(1));
    assert!(waiting.iter().all(|call| !call.is_woken()));
    drop(running);
    let mut held = Vec::new();
    while !waiting.is_empty() {
        let woken: Vec<_> = waiting.iter().map(|call| call.is_woken()).collect();
        assert!(woken[0] && !woken[1..].contains(&true), "{woken:?}");
        // Whoever comes now comes after those.
        let newcomer = service.clone().oneshot(request("/"));
        assert!(newcomer.now_or_never().is_none());
        let std::task::Poll::Ready(answer) = waiting.remove(0).poll() else {
            panic!("its turn has come");
        };
        held.push(answer);
        held.clear();
    }
    assert_eq!(load(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_key_has_its_share_and_keeps_nobody_else_waiting() {
    let layer = ConcurrencyLayer::new()
        .max(3)
        .per_key(by_header(), 2)
        .queue(10)
        .queue_of_key(1);
    let service = layer.layer(endless());
    let call = |key| service.clone().oneshot(by(key));
    let mut running = vec![call("a").await.unwrap(), call("a").await.unwrap()];
    let mut third = Box::pin(call("a"));
    assert!(third.as_mut().now_or_never().is_none());
    // The line of a key is short.
    assert_eq!(call("a").now_or_never().unwrap().unwrap().status(), 503);
    // The third place is free for others.
    let other = call("b").now_or_never().unwrap().unwrap();
    assert_eq!((other.status().as_u16(), load(&layer)), (200, (3, 1)));

    // A place of the whole is no place of the key, and the other way round.
    drop(other);
    assert!(third.as_mut().now_or_never().is_none());
    let other = call("b").now_or_never().unwrap().unwrap();
    running.pop();
    assert_eq!(third.now_or_never().unwrap().unwrap().status(), 200);
    drop((running, other));
    assert_eq!(load(&layer), (0, 0));
}

fn of_rule(rule: &str, limits: &Limits) -> Request<Scripted> {
    let mut request = request("/");
    let limits = Some(Arc::new(limits.clone()));
    let target = Target::Group("g".parse().unwrap());
    let mut routed = Routed::new(rule, target);
    routed.limits = limits;
    request.extensions_mut().insert(routed);
    request
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_have_a_limit_of_its_own_or_none() {
    let layer = ConcurrencyLayer::new().name("here").per_key(ByRoute, 1).queue(0);
    let service = layer.layer(endless());
    let own = Limits::new().concurrency("here", 2).concurrency("elsewhere", 1);
    let none = Limits::new().concurrency("here", Limit::Unlimited);
    let mut held = Vec::new();
    for (rule, limits, expected) in [
        ("own", &own, [200, 200, 503, 503]),
        ("none", &none, [200, 200, 200, 200]),
        ("plain", &Limits::new(), [200, 503, 503, 503]),
    ] {
        for expected in expected {
            let answer = service.clone().oneshot(of_rule(rule, limits)).await.unwrap();
            assert_eq!(answer.status(), expected, "{rule}");
            held.push(answer);
        }
    }
    // Without a limit by key, a rule can still have one.
    let service = ConcurrencyLayer::new().name("here").queue(0).layer(endless());
    for expected in [200, 200, 503] {
        let answer = service.clone().oneshot(of_rule("own", &own)).await.unwrap();
        assert_eq!(answer.status(), expected);
        held.push(answer);
    }
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_router_share_the_places() {
    let layer = ConcurrencyLayer::new()
        .max(3)
        .queue(0)
        .per_key(ByAddress::new(), 9);
    let app: Router = Router::new()
        .route("/", get(|| async { "app" }))
        .layer(layer.clone());
    let mut held = Vec::new();
    for _ in 0..5 {
        // As a server does for each connection.
        held.push(app.clone().oneshot(axum_request("/")).await.unwrap());
    }
    let seen: Vec<_> = held.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(seen, [200, 200, 200, 503, 503]);
    assert_eq!(load(&layer), (3, 0));
    for answer in held {
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(load(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = ConcurrencyLayer::new();
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for _ in 0..2 {
        let future = ready(&mut service).await.call(request("/"));
        assert_send(&future);
        assert_eq!(future.await.unwrap().collect().await.unwrap().to_bytes(), "probe");
    }
    advance(SECOND).await;
    assert_eq!(load(&layer), (0, 0));
}
