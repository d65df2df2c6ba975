//! What becomes of a request.

use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};

use axum::{Router, routing::get};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{BoxError, Routed, Target, admit::Canonical};

use super::*;
use crate::{
    reject::Direct,
    test_util::{Probe, Scripted, assert_send, assert_shareable, axum_request, grpc_request, ready, request},
};

/// What the wrapped service saw.
#[derive(Clone)]
struct Seen {
    uri: String,
    headers: HeaderMap,
    routed: Routed,
    canonical: String,
}

/// A service that answers with what it saw in the extensions.
fn seeing()
-> impl Service<Request<Scripted>, Response = Response<Scripted>, Error = Infallible, Future: Send> + Clone {
    service_fn(|request: Request<Scripted>| async move {
        let canonical = request.extensions().get::<Canonical>().expect("admitted");
        let seen = Seen {
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
            routed: request.extensions().get::<Routed>().expect("routed").clone(),
            canonical: format!("{}{}", canonical.host(), canonical.path()),
        };
        let mut response = Response::new(Scripted::default());
        response
            .headers_mut()
            .insert(header::SERVER, HeaderValue::from_static("inner"));
        response.extensions_mut().insert(seen);
        Ok::<_, Infallible>(response)
    })
}

async fn route(rule: Rule, request: Request<Scripted>) -> (Response<()>, Seen) {
    let service = RouteLayer::new(rules([rule])).layer(seeing());
    let answer = service.oneshot(request).await.unwrap().map(|_| ());
    let seen = answer
        .extensions()
        .get::<Seen>()
        .expect("the service was called")
        .clone();
    (answer, seen)
}

#[tokio::test]
async fn a_match_is_told_and_rewritten() {
    let rule = rule("r")
        .path_prefix("/api")
        .replace_prefix("/v2")
        .rewrite_host("app.internal:8080")
        .set_request_header(header::ACCEPT, HeaderValue::from_static("new"))
        .remove_request_header(header::COOKIE)
        .set_response_header(header::VARY, HeaderValue::from_static("x"))
        .remove_response_header(header::SERVER)
        .timeout(Duration::from_secs(3));
    let mut request = request("/api/%62//c?q=%20");
    request
        .headers_mut()
        .insert(header::ACCEPT, HeaderValue::from_static("old"));
    request
        .headers_mut()
        .insert(header::COOKIE, HeaderValue::from_static("a=1"));
    let (answer, seen) = route(rule, request).await;

    assert_eq!(seen.uri, "http://app.internal:8080/v2/%62//c?q=%20");
    assert_eq!(seen.headers[header::HOST], "app.internal:8080");
    assert_eq!(seen.headers[header::ACCEPT], "new");
    assert!(!seen.headers.contains_key(header::COOKIE));
    assert_eq!(
        seen.canonical, "example.com/api/b/c",
        "what was asked for stays known"
    );
    assert_eq!(&*seen.routed.rule, "r");
    assert_eq!(seen.routed.target, Target::Group(group()));
    assert_eq!(seen.routed.timeouts.whole, Some(Duration::from_secs(3).into()));
    assert_eq!(answer.headers()[header::VARY], "x");
    assert!(!answer.headers().contains_key(header::SERVER));
}

#[tokio::test]
async fn a_target_is_untouched_unless_the_rule_rewrites_it() {
    let (_, seen) = route(rule("r").path_prefix("/api"), request("/a%70i//x;v=1?b&a=%7e")).await;
    assert_eq!(seen.uri, "http://example.com/a%70i//x;v=1?b&a=%7e");
}

#[tokio::test]
async fn stripping_leaves_a_path() {
    for (path, stripped) in [
        ("/api", "/"),
        ("/api/", "/"),
        ("/api/x/", "/x/"),
        ("/api?q", "/?q"),
    ] {
        let (_, seen) = route(rule("r").path_prefix("/api").strip_prefix(), request(path)).await;
        assert_eq!(seen.uri, format!("http://example.com{stripped}"), "{path}");
    }
}

#[tokio::test]
async fn a_target_that_grows_too_long_is_refused() {
    let long = format!("/{}", "x".repeat(40_000));
    let rule = rule("r").path_prefix("/").replace_prefix(&long);
    let policy = tunnel_core::admit::Policy::new()
        .max_uri_bytes(50_000)
        .max_head_bytes(100_000);
    let mut request = request(&long);
    request.extensions_mut().insert(std::sync::Arc::new(policy));
    let service = RouteLayer::new(rules([rule])).layer(seeing());
    assert_eq!(service.oneshot(request).await.unwrap().status(), 414);
}

#[tokio::test]
async fn a_rule_can_answer_itself() {
    let direct = Direct::new(StatusCode::SERVICE_UNAVAILABLE).body("back soon");
    let rule = Rule::direct("closed", direct)
        .set_response_header(header::RETRY_AFTER, HeaderValue::from_static("60"));
    let probe = Probe::new();
    let calls = probe.calls();
    let service = RouteLayer::new(rules([rule])).layer(probe);
    let answer = service.oneshot(request("/")).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "60");
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "back soon"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_miss_is_404_or_not_found() {
    let service = RouteLayer::new(rules([])).layer(Probe::new());
    let answer = service.clone().oneshot(request("/")).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["x-tunnel-error"], "no-route");
    let answer = service.oneshot(grpc_request()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "5");
    assert_eq!(answer.headers()["grpc-message"], "no matching rule");
}

#[tokio::test]
async fn what_is_not_admitted_is_not_routed() {
    let probe = Probe::new();
    let calls = probe.calls();
    let service = RouteLayer::new(rules([rule("all")]))
        .or(probe.clone())
        .layer(probe);
    // No host: neither in the target nor in a header.
    let request = Request::builder().uri("/").body(Scripted::default()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 400);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_miss_goes_to_the_app_as_it_came() {
    let app: Router = Router::new().route("/own", get(|| async { "own" }));
    let tunnel = service_fn(|_: Request<axum::body::Body>| async {
        Err::<Response<Scripted>, BoxError>("only for what a rule matches".into())
    });
    let service = RouteLayer::new(rules([rule("r").path_prefix("/api")]))
        .or(app)
        .layer(tunnel);
    let answer = service.clone().oneshot(axum_request("/own")).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "own");
    assert!(service.oneshot(axum_request("/api")).await.is_err());
}

#[tokio::test]
async fn upstreams_part_from_agents_further_in() {
    let named = |name: &'static str| {
        service_fn(move |_: Request<Scripted>| async move {
            Ok::<_, BoxError>(Response::new(Scripted::of([name])))
        })
    };
    let list = [
        Rule::upstream("files", "files").path_prefix("/static"),
        rule("rest"),
    ];
    let rules = Rules::compile_with_upstreams(list).unwrap();
    let (route, split) = RouteLayer::with_upstreams(rules, named("upstream"));
    let service = route.layer(split.layer(named("agents")));
    assert_shareable(&service);
    for (path, name) in [("/static/x", "upstream"), ("/x", "agents")] {
        let answer = service.clone().oneshot(request(path)).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), name);
    }
}

#[tokio::test]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let list = [
        rule("r").path_prefix("/r"),
        Rule::upstream("u", "u").path_prefix("/u"),
    ];
    let rules = Rules::compile_with_upstreams(list).unwrap();
    let (route, split) = RouteLayer::with_upstreams(rules, Probe::new());
    let layer = route.or(Probe::new());
    let mut service = layer.layer(split.layer(Probe::new()));
    assert_shareable(&layer);
    assert_shareable(&service);
    for path in ["/r", "/u", "/miss", "/r"] {
        // As axum does it: a call without a wait for readiness would be a defect, so it is asked for.
        let future = ready(&mut service).await.call(request(path));
        assert_send(&future);
        assert_eq!(future.await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn it_stands_in_an_axum_router() {
    let rules = rules([Rule::direct("hi", Direct::new(StatusCode::OK).body("hi")).path_exact("/hi")]);
    let tunnel = RouteLayer::new(rules).layer(service_fn(|_: Request<axum::body::Body>| async {
        Ok::<_, Infallible>(Response::new(axum::body::Body::empty()))
    }));
    let app: Router = Router::new()
        .route("/own", get(|| async { "own" }))
        .fallback_service(tunnel);
    for (path, text) in [("/hi", "hi"), ("/own", "own")] {
        let answer = app.clone().oneshot(axum_request(path)).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text);
    }
}
