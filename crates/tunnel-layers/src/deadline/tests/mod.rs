mod parts;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{BoxError, Cause, Routed, Target, Timeouts, TunnelError};

use super::*;
use crate::test_util::{
    Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc, grpc_request, ready, request,
};

const SECOND: Duration = Duration::from_secs(1);

fn layer() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(SECOND)
}

/// What a rule with these timeouts says.
fn of_rule(timeouts: Timeouts) -> Routed {
    let mut routed = Routed::new("r", Target::Upstream("u".into()));
    routed.timeouts = timeouts;
    routed
}

/// A service that never answers, and holds `guard` meanwhile.
fn silent(
    guard: Arc<()>,
) -> impl Service<Request<UploadBody<Scripted>>, Response = Response<Scripted>, Error = Infallible> {
    service_fn(move |_| {
        let guard = guard.clone();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(Response::new(Scripted::default()))
        }
    })
}

/// A service that answers gRPC with this body.
fn streaming(
    body: Scripted,
) -> impl Service<Request<UploadBody<Scripted>>, Response = Response<Scripted>, Error = BoxError> {
    let mut body = Some(body);
    service_fn(move |_| {
        let mut response = Response::new(body.take().expect("called once"));
        response.headers_mut().insert("content-type", grpc());
        std::future::ready(Ok(response))
    })
}

#[tokio::test(start_paused = true)]
async fn before_the_head_the_caller_is_answered_and_the_call_is_dropped() {
    let guard = Arc::new(());
    let start = Instant::now();
    let mut service = layer().layer(silent(guard.clone()));
    let answer = ready(&mut service).await.call(request("/")).await.unwrap();
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(answer.status(), 504);
    // One is here, and one in the closure.
    assert_eq!(Arc::strong_count(&guard), 2);

    let answer = service.oneshot(grpc_request()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4");
}

#[tokio::test(start_paused = true)]
async fn the_rules_timeout_goes_before_the_default() {
    let mut request = request("/");
    let whole = Some((3 * SECOND).into());
    request.extensions_mut().insert(of_rule(Timeouts {
        whole,
        ..Timeouts::default()
    }));
    let start = Instant::now();
    let service = layer().layer(silent(Arc::default()));
    assert_eq!(service.oneshot(request).await.unwrap().status(), 504);
    assert_eq!(start.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn without_a_timeout_nothing_ends() {
    let service = DeadlineLayer::new().layer(silent(Arc::default()));
    let call = service.oneshot(request("/"));
    assert!(tokio::time::timeout(1_000_000 * SECOND, call).await.is_err());
    let service = DeadlineLayer::new()
        .default_timeout(Duration::MAX)
        .layer(Probe::new());
    assert_eq!(service.oneshot(request("/")).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn after_the_head_the_body_fails_and_is_dropped() {
    let guard = Arc::new(());
    let body = Scripted::new([Step::Data("one"), Step::Hang]).holding(guard.clone());
    let start = Instant::now();
    let mut body = Box::pin(
        layer()
            .layer(streaming(body))
            .oneshot(request("/"))
            .await
            .unwrap()
            .into_body(),
    );
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(
        TunnelError::find(&*error).map(TunnelError::cause),
        Some(Cause::Deadline)
    );
    assert_eq!(Arc::strong_count(&guard), 1);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn after_a_grpc_head_trailers_say_so() {
    let body = Scripted::new([Step::Data("one"), Step::Hang]);
    let mut body = Box::pin(
        layer()
            .layer(streaming(body))
            .oneshot(grpc_request())
            .await
            .unwrap()
            .into_body(),
    );
    assert_eq!(body.size_hint().exact(), None);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    assert_eq!(trailers["x-tunnel-error"], "deadline");
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_always_has_more_ends_too() {
    let body = Scripted::of(std::iter::repeat_n("x", 100));
    let mut body = Box::pin(
        layer()
            .layer(streaming(body))
            .oneshot(request("/"))
            .await
            .unwrap()
            .into_body(),
    );
    assert!(body.frame().await.unwrap().is_ok());
    tokio::time::advance(2 * SECOND).await;
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_ended_again() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let body = Scripted::new([Step::Trailers(trailers.clone()), Step::Hang]);
    let mut body = Box::pin(
        layer()
            .layer(streaming(body))
            .oneshot(grpc_request())
            .await
            .unwrap()
            .into_body(),
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_trailers().unwrap(),
        trailers
    );
    tokio::time::advance(2 * SECOND).await;
    assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
}

/// A gRPC request with this `grpc-timeout`, and of a rule with this timeout.
fn call(asked: Option<&'static str>, rule: Option<Duration>) -> Request<Scripted> {
    let mut request = grpc_request();
    if let Some(asked) = asked {
        let value = http::HeaderValue::from_static(asked);
        request.headers_mut().insert("grpc-timeout", value);
    }
    if let Some(rule) = rule {
        let whole = Some(rule.into());
        request.extensions_mut().insert(of_rule(Timeouts {
            whole,
            ..Timeouts::default()
        }));
    }
    request
}

/// A service that answers with the `grpc-timeout` that it saw.
fn seeing<B>() -> impl Service<Request<B>, Response = Response<Scripted>, Error = Infallible> + Clone {
    service_fn(|request: Request<B>| async move {
        let mut response = Response::new(Scripted::default());
        if let Some(value) = request.headers().get("grpc-timeout") {
            response.headers_mut().insert("seen", value.clone());
        }
        Ok(response)
    })
}

/// What of it a request goes on with.
async fn told(layer: DeadlineLayer, request: Request<Scripted>) -> Option<String> {
    let answer = layer.layer(seeing()).oneshot(request).await.unwrap();
    assert!(!answer.headers().contains_key("grpc-status"), "{answer:?}");
    let seen = answer.headers().get("seen")?;
    Some(seen.to_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_has_the_least_of_all_times_and_tells_it() {
    let none = DeadlineLayer::new();
    for (layer, asked, rule, seconds) in [
        (none, Some("2S"), None, Some(2)),
        (none, Some("2S"), Some(3), Some(2)),
        (none, Some("3S"), Some(2), Some(2)),
        (none, None, Some(2), Some(2)),
        (none, None, None, None),
        (layer(), Some("2S"), None, Some(1)),
        (layer(), None, None, Some(1)),
        (layer(), None, Some(2), Some(2)),
    ] {
        let request = || call(asked, rule.map(Duration::from_secs));
        let expected = seconds.map(|seconds| format!("{seconds}000000u"));
        assert_eq!(told(layer, request()).await, expected, "{asked:?} {rule:?}");

        let Some(seconds) = seconds else { continue };
        let start = Instant::now();
        let answer = layer
            .layer(silent(Arc::default()))
            .oneshot(request())
            .await
            .unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4");
        assert!(answer.body().is_end_stream(), "trailers only");
        assert_eq!(start.elapsed(), Duration::from_secs(seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_before_is_not_given_again() {
    let mut request = call(Some("3S"), None);
    let arrival = tunnel_core::route::Arrival(Instant::now().into_std());
    request.extensions_mut().insert(arrival);
    tokio::time::advance(SECOND).await;
    assert_eq!(
        told(DeadlineLayer::new(), request).await.as_deref(),
        Some("2000000u")
    );

    // Admission further out is the arrival, if nobody else says when it was.
    let request = crate::admission::admit(call(Some("3S"), None)).unwrap();
    tokio::time::advance(SECOND).await;
    // A layer of this kind has read the field, and what it has written is not counted from the arrival again.
    let inner = layer().default_timeout(10 * SECOND).layer(seeing());
    let answer = DeadlineLayer::new().layer(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["seen"], "2000000u");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_already_goes_nowhere() {
    let probe = Probe::new();
    let calls = probe.calls();
    let mut service = DeadlineLayer::new().layer(probe);
    let mut late = call(Some("1S"), None);
    late.extensions_mut()
        .insert(tunnel_core::route::Arrival(Instant::now().into_std()));
    tokio::time::advance(SECOND).await;
    for request in [call(Some("0n"), None), late] {
        let answer = ready(&mut service).await.call(request).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4");
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_time_is_refused_and_only_of_a_grpc_call() {
    let answer = DeadlineLayer::new()
        .layer(seeing())
        .oneshot(call(Some("5s"), None))
        .await
        .unwrap();
    assert_eq!(answer.headers()["grpc-status"], "13");
    assert_eq!(answer.headers()["x-tunnel-error"], "malformed");

    let mut plain = call(Some("5s"), Some(SECOND));
    plain.headers_mut().remove("content-type");
    assert_eq!(told(DeadlineLayer::new(), plain).await.as_deref(), Some("5s"));
}

#[tokio::test(start_paused = true)]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = layer();
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for _ in 0..2 {
        let future = ready(&mut service).await.call(request("/"));
        assert_send(&future);
        let text = future
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(text, "probe");
    }
}

#[tokio::test(start_paused = true)]
async fn it_stands_around_an_axum_router_and_within() {
    let app: Router = Router::new()
        .route("/", get(|| async { "app" }))
        .route("/slow", get(std::future::pending::<()>))
        .layer(layer());
    let service = DeadlineLayer::new().layer(app);
    let answer = service.clone().oneshot(axum_request("/")).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "app");
    assert_eq!(
        service.oneshot(axum_request("/slow")).await.unwrap().status(),
        504
    );
}
