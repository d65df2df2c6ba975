use std::{convert::Infallible, sync::atomic::Ordering};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tunnel_core::{BoxError, Cause, Initiator, TunnelError};

use super::*;
use crate::{
    rescue::RescueLayer,
    test_util::{
        Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc, grpc_request, ready,
        request,
    },
    trace_id::TraceIdLayer,
};

mod cors;

const PAGE: &str = "https://app.example.com";

/// A call of gRPC-Web with this content type and body.
fn call(content_type: &'static str, body: Scripted) -> Request<Scripted> {
    let mut request = grpc_request().map(|_| body);
    *request.version_mut() = Version::HTTP_11;
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    request
}

fn binary() -> Request<Scripted> {
    call("application/grpc-web", Scripted::default())
}

fn from_page<B>(mut request: Request<B>, origin: &'static str) -> Request<B> {
    request
        .headers_mut()
        .insert(header::ORIGIN, HeaderValue::from_static(origin));
    request
}

fn preflight(asked: &'static str) -> Request<Scripted> {
    let mut request = from_page(request("/pkg.Service/Method"), PAGE);
    *request.method_mut() = Method::OPTIONS;
    let headers = request.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_REQUEST_METHOD,
        HeaderValue::from_static("POST"),
    );
    headers.insert(
        header::ACCESS_CONTROL_REQUEST_HEADERS,
        HeaderValue::from_static(asked),
    );
    request
}

fn trailers(status: &'static str) -> HeaderMap {
    let name = HeaderName::from_static("grpc-status");
    HeaderMap::from_iter([(name, HeaderValue::from_static(status))])
}

/// A response of gRPC with these steps.
fn response(steps: impl IntoIterator<Item = Step>) -> Response<Scripted> {
    let mut response = Response::new(Scripted::new(steps));
    response.headers_mut().insert(header::CONTENT_TYPE, grpc());
    response
}

/// A service that echoes the body as gRPC, with the head that it saw in the extensions.
fn echo()
-> impl Service<Request<WebBody<Scripted>>, Response = Response<WebBody<Scripted>>, Error = BoxError, Future: Send>
+ Clone {
    service_fn(|request: Request<WebBody<Scripted>>| async move {
        let (head, body) = request.into_parts();
        let mut response = Response::new(body);
        let content_type = head.headers.get(header::CONTENT_TYPE).cloned().unwrap_or(grpc());
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response.extensions_mut().insert(head);
        Ok::<_, BoxError>(response)
    })
}

/// A service that gives this one answer.
fn answering(
    response: impl Fn() -> Response<Scripted> + Clone + Send,
) -> impl Service<Request<WebBody<Scripted>>, Response = Response<Scripted>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(move |_: Request<WebBody<Scripted>>| std::future::ready(Ok(response())))
}

async fn bytes<B>(response: Response<B>) -> Bytes
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

fn with_cors() -> GrpcWebLayer {
    GrpcWebLayer::new().cors(Cors::origins([PAGE]).unwrap())
}

#[tokio::test]
async fn a_call_is_grpc_inside() {
    let mut request = call(
        "application/grpc-web+json",
        Scripted::of(["\0\0\0\0", "\x02", "hi"]),
    );
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br"));
    headers.append("x-meta", HeaderValue::from_static("1"));
    headers.append("x-meta", HeaderValue::from_static("2"));
    let answer = GrpcWebLayer::new().layer(echo()).oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+json");

    let seen = answer.extensions().get::<http::request::Parts>().unwrap();
    assert_eq!((&seen.method, seen.version), (&Method::POST, Version::HTTP_2));
    assert_eq!(seen.uri.path(), "/pkg.Service/Method");
    assert_eq!(seen.headers["content-type"], "application/grpc+json");
    assert_eq!(seen.headers["te"], "trailers");
    assert_eq!(seen.headers["accept-encoding"], "br");
    assert!(seen.headers.get_all("x-meta").iter().eq(["1", "2"]));
    for gone in ["accept", "content-length", "connection"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(bytes(answer).await, "\0\0\0\0\x02hi");
}

#[tokio::test]
async fn text_is_decoded_whatever_its_pieces() {
    // "\0\0\0\0\x02hi"
    for pieces in [vec!["AAAAAAJoaQ=="], vec!["A", "AAAA", "AJoa", "Q=", "="]] {
        let request = call("application/grpc-web-text", Scripted::of(pieces));
        let inner = service_fn(|request: Request<WebBody<Scripted>>| async {
            let message = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(message, "\0\0\0\0\x02hi");
            Ok::<_, Infallible>(response([]))
        });
        GrpcWebLayer::new().layer(inner).oneshot(request).await.unwrap();
    }
}

#[tokio::test]
async fn text_that_is_malformed_fails_inside() {
    for text in ["A", "AAAAA", "????"] {
        let request = call("application/grpc-web-text", Scripted::of([text]));
        let answer = GrpcWebLayer::new().layer(echo()).oneshot(request).await.unwrap();
        let error = answer.into_body().collect().await.unwrap_err();
        let cause = TunnelError::find(&*error).map(TunnelError::cause);
        assert_eq!(cause, Some(Cause::Malformed), "{text}");
    }
}

#[tokio::test]
async fn trailers_end_the_body() {
    let message = || [Step::Data("\0\0\0\0\x02hi"), Step::Trailers(trailers("5"))];
    let frame = b"\x80\0\0\0\x0fgrpc-status:5\r\n";
    let inner = answering(move || {
        let mut response = response(message());
        let wrong = HeaderValue::from_static("7");
        response.headers_mut().insert(header::CONTENT_LENGTH, wrong);
        response
    });
    let service = GrpcWebLayer::new().layer(inner);
    let answer = service.clone().oneshot(binary()).await.unwrap();
    assert!(!answer.headers().contains_key(header::CONTENT_LENGTH));
    assert_eq!(answer.body().size_hint().exact(), None);
    assert_eq!(bytes(answer).await, [&b"\0\0\0\0\x02hi"[..], frame].concat());

    let text = call("application/grpc-web-text", Scripted::default());
    let answer = service.oneshot(text).await.unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "application/grpc-web-text+proto"
    );
    assert_eq!(bytes(answer).await, "AAAAAAJoaQ==gAAAAA9ncnBjLXN0YXR1czo1DQo=");
}

#[tokio::test]
async fn trailers_only_stay_so() {
    let inner = answering(|| {
        let mut response = response([]);
        response.headers_mut().extend(trailers("12"));
        response
    });
    let answer = GrpcWebLayer::new().layer(inner).oneshot(binary()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "12");
    assert!(answer.body().is_end_stream());
    assert_eq!(bytes(answer).await, "");
}

#[tokio::test]
async fn failures_of_the_tunnel_are_told_in_grpc_web() {
    let failure = || TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
    let before = service_fn(move |_: Request<WebBody<Scripted>>| async move {
        Err::<Response<Scripted>, BoxError>(failure().into())
    });
    let stack = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(GrpcWebLayer::new())
        .layer(RescueLayer::new());
    let answer = stack.service(before).oneshot(binary()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert_eq!(answer.headers()["x-tunnel-error"], "agent-lost");
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    assert_eq!(answer.headers()["x-trace-id"].len(), 32);

    let after = answering(move || response([Step::Data("\0\0\0\0\0"), Step::Fail(failure().into())]));
    let stack = ServiceBuilder::new()
        .layer(GrpcWebLayer::new())
        .layer(RescueLayer::new());
    let answer = stack.service(after).oneshot(binary()).await.unwrap();
    let body = bytes(answer).await;
    assert!(body.starts_with(b"\0\0\0\0\0\x80"), "{body:?}");
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("grpc-status:14\r\n"), "{text}");
    assert!(text.contains("x-tunnel-error:agent-lost\r\n"), "{text}");
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_look_complete() {
    let inner = answering(|| response([Step::Data("\0\0\0\0\0"), Step::Fail("broken".into())]));
    let answer = GrpcWebLayer::new().layer(inner).oneshot(binary()).await.unwrap();
    let error = answer.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "broken", "the error is the one that happened");

    for content_type in ["application/grpc-web", "application/grpc-web-text"] {
        let canceled = Step::Fail(TunnelError::canceled().into());
        let request = call(content_type, Scripted::new([Step::Data("AAAA"), canceled]));
        let answer = GrpcWebLayer::new().layer(echo()).oneshot(request).await.unwrap();
        let error = answer.into_body().collect().await.unwrap_err();
        let cause = TunnelError::find(&*error).map(TunnelError::cause);
        assert_eq!(cause, Some(Cause::Canceled));
    }
}

#[tokio::test]
async fn a_body_promises_only_what_is_true() {
    for (content_type, inside) in [
        ("application/grpc-web", Some(8)),
        ("application/grpc-web-text", None),
    ] {
        let request = call(content_type, Scripted::default()).map(|_| "AAAAAAAA".to_owned());
        let inner = service_fn(move |request: Request<WebBody<String>>| async move {
            assert_eq!(request.body().size_hint().exact(), inside);
            let mut response = Response::new(request.into_body());
            response.headers_mut().insert(header::CONTENT_TYPE, grpc());
            Ok::<_, Infallible>(response)
        });
        let answer = GrpcWebLayer::new().layer(inner).oneshot(request).await.unwrap();
        assert_eq!(answer.body().size_hint().exact(), None);
        assert!(!answer.body().is_end_stream());
    }
}

#[tokio::test]
async fn a_call_that_is_not_admitted_is_refused_in_grpc_web() {
    let probe = Probe::new();
    let calls = probe.calls();
    let mut request = from_page(binary(), PAGE);
    request
        .headers_mut()
        .append(header::HOST, HeaderValue::from_static("other"));
    let answer = with_cors().layer(probe).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "13");
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn everything_else_passes_untouched() {
    let mut upgrade = request("/chat");
    upgrade
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    upgrade
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let mut get = binary();
    *get.method_mut() = Method::GET;
    for request in [
        request("/"),
        upgrade,
        get,
        grpc_request(),
        from_page(request("/"), PAGE),
        preflight("content-type"),
    ] {
        let (head, body) = request.into_parts();
        let expected = (head.version, head.headers.clone());
        let request = Request::from_parts(head, body);
        let answer = with_cors().layer(echo()).oneshot(request).await.unwrap();
        let seen = answer.extensions().get::<http::request::Parts>().unwrap();
        assert_eq!((seen.version, seen.headers.clone()), expected);
        assert_eq!(answer.headers().len(), 1, "only the content type");
    }
}

#[tokio::test]
async fn a_response_that_is_not_grpc_passes_untouched() {
    let inner = answering(|| {
        let mut response = Response::new(Scripted::of(["<html>"]));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("6"));
        response
    });
    let text = call("application/grpc-web-text", Scripted::default());
    let answer = with_cors()
        .layer(inner)
        .oneshot(from_page(text, PAGE))
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert_eq!(answer.headers()["content-length"], "6");
    assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
    assert_eq!(bytes(answer).await, "<html>");
}

#[tokio::test]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = with_cors();
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for request in [request("/"), binary(), grpc_request(), binary()] {
        let future = ready(&mut service).await.call(request);
        assert_send(&future);
        assert_eq!(future.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn it_stands_around_an_axum_router() {
    let app: Router = Router::new().route("/own", get(|| async { "own" }));
    let app: Router = Router::new().fallback_service(GrpcWebLayer::new().layer(app));
    let answer = app.oneshot(axum_request("/own")).await.unwrap();
    assert_eq!(bytes(answer).await, "own");
}
