use std::{convert::Infallible, io, sync::Arc};

use axum::{Router, routing::get};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{Cause, Initiator};

use super::*;
use crate::test_util::{
    Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc, grpc_request, ready, request,
};

fn lost() -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost")
}

/// A service that answers gRPC with this body.
fn streaming(
    body: Scripted,
) -> impl Service<Request<Scripted>, Response = Response<Scripted>, Error = BoxError> {
    let mut body = Some(body);
    service_fn(move |_| {
        let mut response = Response::new(body.take().expect("called once"));
        response.headers_mut().insert("content-type", grpc());
        std::future::ready(Ok(response))
    })
}

#[tokio::test]
async fn the_tunnels_error_is_found_in_the_chain() {
    let service = RescueLayer::new().layer(service_fn(|_: Request<Scripted>| async {
        Err::<Response<Scripted>, BoxError>(io::Error::other(lost()).into())
    }));
    let answer = service.oneshot(request("/")).await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["x-tunnel-error"], "agent-lost");
    assert_eq!(
        answer.extensions().get().map(TunnelError::cause),
        Some(Cause::AgentLost)
    );
}

#[tokio::test]
async fn any_other_error_is_internal_and_keeps_its_text_to_itself() {
    let service = RescueLayer::new().layer(service_fn(|_: Request<Scripted>| async {
        Err::<Response<Scripted>, BoxError>("password hunter2 refused at 10.0.0.7".into())
    }));
    let answer = service.oneshot(request("/")).await.unwrap();
    assert_eq!(answer.status(), 500);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&text).contains("hunter2"));
}

#[tokio::test]
async fn a_grpc_caller_is_answered_in_its_dialect() {
    let service = RescueLayer::new().layer(service_fn(|_: Request<Scripted>| async {
        Err::<Response<Scripted>, _>(lost())
    }));
    let answer = service.oneshot(grpc_request()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn an_error_of_readiness_answers_the_next_call_and_no_other() {
    struct Once(bool);
    impl Service<Request<Scripted>> for Once {
        type Response = Response<Scripted>;
        type Error = TunnelError;
        type Future = std::future::Ready<Result<Self::Response, TunnelError>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TunnelError>> {
            let failed = std::mem::replace(&mut self.0, true);
            std::task::Poll::Ready(if failed { Ok(()) } else { Err(lost()) })
        }

        fn call(&mut self, _: Request<Scripted>) -> Self::Future {
            std::future::ready(Ok(Response::new(Scripted::default())))
        }
    }

    let mut service = RescueLayer::new().layer(Once(false));
    let answer = ready(&mut service).await.call(request("/")).await.unwrap();
    assert_eq!(answer.status(), 502);
    let answer = ready(&mut service).await.call(request("/")).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_failure_after_a_grpc_head_becomes_trailers_and_a_clean_end() {
    let guard = Arc::new(());
    let body =
        Scripted::new([Step::Data("one"), Step::Fail(lost().into()), Step::Hang]).holding(guard.clone());
    let service = RescueLayer::new().layer(streaming(body));
    let mut body = service.oneshot(grpc_request()).await.unwrap().into_body();

    assert_eq!(http_body::Body::size_hint(&body).exact(), None);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(trailers["grpc-message"], "the agent was lost");
    assert_eq!(Arc::strong_count(&guard), 1, "what is behind the body has ended");
    assert!(http_body::Body::is_end_stream(&body));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_failure_after_any_other_head_stays_a_failure() {
    let body = Scripted::new([Step::Data("one"), Step::Fail(lost().into())]);
    let service = RescueLayer::new().layer(streaming(body));
    // The response is gRPC, and the request is not.
    let mut body = service.oneshot(request("/")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(TunnelError::find(&*error).unwrap().cause(), Cause::AgentLost);
}

#[tokio::test]
async fn trailers_of_the_service_pass() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let service = RescueLayer::new().layer(streaming(Scripted::new([Step::Trailers(trailers.clone())])));
    let body = service.oneshot(grpc_request()).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().trailers(), Some(&trailers));
}

#[tokio::test]
async fn a_failure_after_the_trailers_adds_no_second_ones() {
    let guard = Arc::new(());
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let steps = [
        Step::Trailers(trailers.clone()),
        Step::Fail(lost().into()),
        Step::Hang,
    ];
    let service = RescueLayer::new().layer(streaming(Scripted::new(steps).holding(guard.clone())));
    let mut body = service.oneshot(grpc_request()).await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_trailers().unwrap(),
        trailers
    );
    assert!(body.frame().await.is_none());
    assert!(http_body::Body::is_end_stream(&body));
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[tokio::test]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = RescueLayer::new();
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for _ in 0..2 {
        let future = ready(&mut service).await.call(request("/"));
        assert_send(&future);
        assert_eq!(future.await.unwrap().status(), 200);
    }
    let mut clone = service.clone();
    assert_eq!(
        ready(&mut clone).await.call(request("/")).await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn it_stands_around_an_axum_router_and_within() {
    let app: Router = Router::new()
        .route("/", get(|| async { "app" }))
        .layer(RescueLayer::new());
    let service = RescueLayer::new().layer(app);
    let answer: Result<_, Infallible> = service.oneshot(axum_request("/")).await;
    let text = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "app");
}
