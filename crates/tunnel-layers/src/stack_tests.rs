//! Several layers at once: their order, and what they are to axum and tonic.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tunnel_core::{BoxError, Cause, Initiator, TunnelError};

use crate::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    deadline::{DeadlineLayer, UploadBody},
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    target::TargetLayer,
    test_session::{group, session},
    test_util::{Scripted, assert_shareable, axum_request, grpc, grpc_request, request},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};

fn rules() -> Rules {
    let timeout = Duration::from_secs(5);
    Rules::compile([Rule::group("all", "g".parse().unwrap()).timeout(timeout)]).unwrap()
}

fn failing<B>()
-> impl Service<Request<B>, Response = Response<Scripted>, Error = BoxError, Future: Send> + Clone {
    service_fn(|_: Request<B>| async {
        Err(TunnelError::new(Cause::NoAgent, Initiator::Tunnel, "no healthy agent").into())
    })
}

#[tokio::test]
async fn a_failure_deep_inside_comes_out_with_the_trace_id() {
    let stack = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules()))
        .layer(DeadlineLayer::new())
        .service(failing());
    assert_shareable(&stack);
    let answer: Result<_, Infallible> = stack.clone().oneshot(request("/")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(answer.headers()["x-trace-id"].len(), 32);
    let answer = stack.oneshot(grpc_request()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert_eq!(answer.headers()["x-trace-id"].len(), 32);
}

#[tokio::test(start_paused = true)]
async fn the_rules_timeout_ends_a_grpc_stream_with_one_set_of_trailers() {
    use http_body_util::BodyExt;

    let stack = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules()))
        .layer(DeadlineLayer::new())
        .service(service_fn(|_: Request<_>| async {
            let mut response = Response::new(Scripted::new([crate::test_util::Step::Hang]));
            response.headers_mut().insert("content-type", grpc());
            Ok::<_, BoxError>(response)
        }));
    let answer = stack.oneshot(grpc_request()).await.unwrap();
    let whole = answer.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "4");
}

#[tokio::test]
async fn the_stack_is_the_fallback_of_an_axum_app() {
    let stack = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules()))
        .layer(DeadlineLayer::new())
        .map_request(|request: Request<UploadBody<axum::body::Body>>| request.map(|_| Scripted::default()))
        .service(failing());
    let app: axum::Router = axum::Router::new().fallback_service(stack);
    assert_eq!(app.oneshot(axum_request("/")).await.unwrap().status(), 503);
}

#[test]
fn a_tonic_service_keeps_its_name() {
    #[derive(Clone)]
    struct Greeter;
    impl tonic::server::NamedService for Greeter {
        const NAME: &'static str = "greet.Greeter";
    }
    fn name<S: tonic::server::NamedService>(_: &S) -> &'static str {
        S::NAME
    }

    let upstream_rules = Rules::compile_with_upstreams([]).unwrap();
    let (route, split) = RouteLayer::with_upstreams(upstream_rules, ());
    let agents = BalanceLayer::new(group(&[]), RoundRobin::new());
    let stack = ServiceBuilder::new()
        .layer(TargetLayer::group("g".parse().unwrap()))
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(route)
        .layer(DeadlineLayer::new())
        .layer(split)
        .layer(agents)
        .layer(UpgradeLayer::new())
        .service(Greeter);
    assert_eq!(name(&stack), "greet.Greeter");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_an_agent_tells_what_is_left_then() {
    use tunnel_core::{ExchangeRequest, ExchangeResponse};

    let slow = ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .service(service_fn(
            |mut request: Request<UploadBody<Scripted>>| async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                request.extensions_mut().insert(session(1, 1));
                let chunk = ServiceBuilder::new().layer(ChunkLayer::new()).service(service_fn(
                    |exchange: ExchangeRequest<_>| async move {
                        let left = exchange.head.headers["grpc-timeout"].to_str().unwrap().to_owned();
                        Err::<ExchangeResponse, _>(TunnelError::internal(left))
                    },
                ));
                let error = chunk.oneshot(request).await.unwrap_err();
                Err::<Response<Scripted>, BoxError>(error.into())
            },
        ));
    let mut request = grpc_request();
    request
        .headers_mut()
        .insert("grpc-timeout", http::HeaderValue::from_static("5S"));
    let error = slow.oneshot(request).await.unwrap_err();
    assert_eq!(error.to_string(), "3000000u");
}
