//! Every layer around an axum `Router`, a tonic service and a bare `service_fn`; and what their servers do with services.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{Router, routing::any};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tonic::{server::NamedService, service::Routes};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tunnel_core::{BoxError, Session};
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    credentials::CredentialsLayer,
    deadline::DeadlineLayer,
    grpc_web::GrpcWebLayer,
    metrics::{MetricsLayer, Overview},
    rescue::RescueLayer,
    target::TargetLayer,
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};

use crate::{
    body::TestBody,
    http::{access_log, auth, balance, concurrency, rate_limit, request, route},
};
use tunnel_tests::pair::{Fixed, pair, routed};

/// A tonic service, as the generators make them: named, and infallible.
#[derive(Clone, Debug)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "greet.Greeter";
}

impl<B> Service<Request<B>> for Greeter {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let body = TestBody::full().map_err(tonic::Status::from_error);
        let response = Response::builder().header("content-type", "application/grpc");
        ready(Ok(response
            .body(tonic::body::Body::new(body))
            .expect("a valid response")))
    }
}

fn name<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

fn grpc_request<B>(body: B) -> Request<B> {
    let request =
        Request::post("http://demo.example/greet.Greeter/Hello").header("content-type", "application/grpc");
    let mut request = request
        .version(http::Version::HTTP_2)
        .body(body)
        .expect("a valid request");
    request.extensions_mut().insert(routed());
    request
}

async fn handler<B>(request: Request<B>) -> Result<Response<String>, BoxError> {
    Ok(Response::new(request.uri().path().to_owned()))
}

async fn text<RB>(response: Response<RB>) -> Bytes
where
    RB: Body<Data = Bytes>,
    RB::Error: std::fmt::Debug,
{
    assert_eq!(response.status(), 200);
    response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes()
}

async fn assert_greets<RB>(response: Response<RB>)
where
    RB: Body<Data = Bytes>,
    RB::Error: std::fmt::Debug,
{
    assert_eq!(response.status(), 200);
    let whole = response.into_body().collect().await.expect("a whole body");
    assert!(whole.trailers().expect("trailers").contains_key("x-trailer"));
    assert!(!whole.to_bytes().is_empty());
}

macro_rules! around {
    ($($layer:ident: $make:expr;)+) => {$(
        mod $layer {
            use super::*;

            #[tokio::test]
            async fn a_router() {
                let app = Router::new().route("/path", any(async || "axum"));
                let service = $make.layer(app);
                assert_eq!(text(service.oneshot(request()).await.expect("an answer")).await, "axum");
            }

            #[tokio::test]
            async fn a_service_fn() {
                let service = $make.layer(service_fn(handler::<_>));
                assert_eq!(text(service.oneshot(request()).await.expect("an answer")).await, "/path");
            }

            #[tokio::test]
            async fn a_tonic_service_that_stays_one() {
                let service = $make.layer(Greeter);
                assert_eq!(name(&service), "greet.Greeter");
                let routes = Routes::new(service);
                let answer = routes.oneshot(grpc_request(tonic::body::Body::empty())).await;
                assert_greets(answer.expect("an answer")).await;
            }

            #[tokio::test]
            async fn tonic_routes() {
                let service = $make.layer(Routes::new(Greeter));
                let answer = service.oneshot(grpc_request(TestBody::empty())).await;
                assert_greets(answer.expect("an answer")).await;
            }

            #[tokio::test]
            async fn the_fallback_of_a_router() {
                let service = $make.layer(Router::new().route("/path", any(async || "axum")));
                let service = RescueLayer::new().layer(service);
                let app: Router = Router::new().fallback_service(service);
                let answer = app.oneshot(request().map(axum::body::Body::new)).await;
                assert_eq!(text(answer.expect("an answer")).await, "axum");
            }
        }
    )+};
}

around! {
    metrics_layer: MetricsLayer::new().overview(Overview::new());
    access_log_layer: access_log();
    trace_id: TraceIdLayer::new();
    rescue: RescueLayer::new();
    route_layer: route();
    auth_layer: auth();
    credentials: CredentialsLayer::bearer("a-token").expect("a token");
    deadline: DeadlineLayer::new();
    rate_limit_layer: rate_limit();
    concurrency_layer: concurrency();
    balance_layer: balance();
    target: TargetLayer::group("app".parse().expect("a name"));
    grpc_web: GrpcWebLayer::new();
    upgrade: UpgradeLayer::new();
}

#[tokio::test]
async fn a_routers_own_layers() {
    // All but the one that lends the body: a route takes bodies of axum only.
    let app: Router = Router::new()
        .route("/path", any(async || "axum"))
        .layer(UpgradeLayer::new())
        .layer(DeadlineLayer::new())
        .layer(concurrency())
        .layer(rate_limit())
        .layer(auth())
        .layer(route())
        .layer(RescueLayer::new())
        .layer(TraceIdLayer::new())
        .layer(access_log())
        .layer(MetricsLayer::new());
    let answer = app
        .oneshot(request().map(axum::body::Body::new))
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["x-trace-id"].len(), 32);
    assert_eq!(text(answer).await, "axum");
}

/// Says which session was chosen.
async fn chosen<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
    let session = request
        .extensions()
        .get::<Session>()
        .expect("a session was chosen");
    Ok(Response::new(session.agent().to_string()))
}

#[tokio::test]
async fn clones_of_a_router_take_turns_together() {
    let pairs = ["a", "b", "c"].map(|name| pair(name, Router::new()));
    let agents = Fixed::new(pairs.iter().map(|pair| &pair.gateway));
    let app: Router = Router::new()
        .fallback_service(BalanceLayer::new(agents, RoundRobin::new()).layer(service_fn(chosen::<_>)));
    let mut names = Vec::new();
    for _ in 0..6 {
        // As a server does for each connection.
        let connection = app.clone();
        names.push(
            text(
                connection
                    .oneshot(request().map(axum::body::Body::new))
                    .await
                    .expect("an answer"),
            )
            .await,
        );
    }
    assert_eq!(names, ["a", "b", "c", "a", "b", "c"]);
}
