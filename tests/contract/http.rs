//! The contract of every layer whose two faces are HTTP.

use std::{fmt::Debug, future::poll_fn, sync::atomic::Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio_test::task;
use tower::{Layer, Service, ServiceExt as _, util::BoxCloneSyncService};
use tunnel_core::{BoxError, Principal};
use tunnel_layers::{
    access_log::{AccessLogLayer, Entry},
    auth::{
        AnyOf, AuthLayer, AuthParts, Authenticator as _, BearerToken, BearerTokens, BoxAuthenticator, auth_fn,
    },
    balance::{BalanceLayer, RoundRobin},
    concurrency::ConcurrencyLayer,
    credentials::CredentialsLayer,
    deadline::DeadlineLayer,
    grpc_web::{Cors, GrpcWebLayer},
    key::{ByAddress, ByHeader},
    metrics::{MetricsLayer, Overview},
    rate_limit::RateLimitLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    target::TargetLayer,
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};

use crate::{
    body::{SECRET, TestBody},
    inner::{Answer, Inner, Seen},
};
use tunnel_tests::pair::{Fixed, pair, routed};

/// A request that every layer takes, full of secrets.
pub(crate) fn request() -> Request<TestBody> {
    let request = Request::post(format!("http://demo.example/path?token={SECRET}"))
        .header("authorization", format!("Bearer {SECRET}"))
        .header("cookie", SECRET)
        .header("host", "demo.example");
    let mut request = request.body(TestBody::full()).expect("a valid request");
    request.extensions_mut().insert(routed());
    request
}

/// A log in which no secret may stand.
pub(crate) fn access_log() -> AccessLogLayer {
    let layer = AccessLogLayer::new().sink(|entry: &Entry<'_>| assert_silent(entry));
    layer.headers(["host"]).expect("it is no secret")
}

/// Routing with secrets in its rules.
pub(crate) fn route() -> RouteLayer {
    let (name, value) = ("x-key".parse().expect("a name"), SECRET.parse().expect("a value"));
    let rule = Rule::group("all", "app".parse().expect("a name")).set_request_header(name, value);
    RouteLayer::new(Rules::compile([rule]).expect("the rules are right"))
}

/// A rate that no test exceeds, by a header that is secret.
pub(crate) fn rate_limit() -> RateLimitLayer<ByHeader> {
    let key = ByHeader::new(http::header::AUTHORIZATION);
    RateLimitLayer::per_second(1_000).key(key).tell_always(true)
}

/// More places than any test takes.
pub(crate) fn concurrency() -> ConcurrencyLayer<ByAddress> {
    ConcurrencyLayer::new().per_key(ByAddress::new(), 100)
}

/// Authentication with a secret that the request shows, by somebody who needs a moment for it.
pub(crate) fn auth() -> AuthLayer<BoxAuthenticator> {
    let slow = auth_fn(async |parts: AuthParts| {
        tokio::task::yield_now().await;
        match parts.headers.get("cookie").map(|cookie| cookie.as_bytes()) {
            Some(cookie) if cookie == SECRET.as_bytes() => Ok(Principal::new("secretary", "cookie")),
            _ => Ok(Principal::new("anybody", "none")),
        }
    });
    let token = BearerToken::new("other", "a token that is not shown".replace(' ', "-").as_str());
    let tokens = BearerTokens::new([token.expect("a token")]).expect("one is enough");
    let any = AnyOf::new([tokens.boxed(), slow.boxed()]).expect("two are enough");
    AuthLayer::new(any.boxed())
        .principal_header("x-caller".parse().expect("a name"))
        .expect("a name of our own")
}

/// Balancing over two sessions that nothing is sent into.
pub(crate) fn balance() -> BalanceLayer<Fixed, RoundRobin> {
    let pairs = ["a", "b"].map(|name| pair(name, axum::Router::new()));
    BalanceLayer::new(
        Fixed::new(pairs.iter().map(|pair| &pair.gateway)),
        RoundRobin::new(),
    )
}

/// Everything that a layer promises about the service inside it.
async fn contract<L, S, RB>(layer: L)
where
    L: Layer<Inner, Service = S> + Clone + Debug + Send + Sync + 'static,
    S: Service<Request<TestBody>, Response = Response<RB>> + Clone + Debug + Send + Sync + 'static,
    S::Error: Into<BoxError> + Debug + Send,
    S::Future: Debug + Send + 'static,
    RB: Body<Data = Bytes> + Debug + Send + 'static,
    RB::Error: Into<BoxError> + Debug,
{
    readiness(&layer).await;
    dropping(&layer).await;
    bodies(&layer).await;
    failures(&layer).await;
    silence(&layer).await;
    let boxed = BoxCloneSyncService::new(layer.layer(Inner::new(Answer::Full)));
    assert_eq!(
        boxed
            .clone()
            .oneshot(request())
            .await
            .expect("an answer")
            .status(),
        200
    );
}

async fn ready<S: Service<Request<TestBody>>>(service: &mut S)
where
    S::Error: Debug,
{
    poll_fn(|cx| service.poll_ready(cx))
        .await
        .expect("it becomes ready");
}

/// The inner service is called only after it has become ready, each time, on whatever clone.
async fn readiness<L, S, RB>(layer: &L)
where
    L: Layer<Inner, Service = S>,
    S: Service<Request<TestBody>, Response = Response<RB>> + Clone,
    S::Error: Debug,
{
    let inner = Inner::new(Answer::Full);
    let seen = inner.seen();
    let mut first = layer.layer(inner);
    for _ in 0..3 {
        ready(&mut first).await;
        let mut second = first.clone();
        let answer = first.call(request()).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        // A clone of a ready service is not ready.
        ready(&mut second).await;
        second.call(request()).await.expect("an answer");
    }
    // Two calls at once, made before either is polled.
    ready(&mut first).await;
    let one = first.call(request());
    ready(&mut first).await;
    let two = first.call(request());
    let (one, two) = tokio::join!(one, two);
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(seen.calls.load(Ordering::SeqCst), 8);
}

/// Dropping what a layer gave drops what it got.
async fn dropping<L, S, RB>(layer: &L)
where
    L: Layer<Inner, Service = S>,
    S: Service<Request<TestBody>, Response = Response<RB>>,
    S::Error: Debug,
    RB: Body<Data = Bytes>,
    RB::Error: Debug,
{
    let inner = Inner::new(Answer::Never);
    let seen = inner.seen();
    let mut service = layer.layer(inner);
    ready(&mut service).await;
    let sent = request();
    let body = sent.body().watch();
    let mut call = task::spawn(service.call(sent));
    while seen.futures.load(Ordering::SeqCst) == 0 {
        assert!(call.poll().is_pending());
    }
    assert!(call.poll().is_pending());
    drop(call);
    assert_eq!(
        seen.futures.load(Ordering::SeqCst),
        0,
        "the inner future is alive"
    );
    assert!(body.upgrade().is_none(), "the request's body is alive");

    let inner = Inner::new(Answer::Hanging);
    let seen = inner.seen();
    let mut service = layer.layer(inner);
    ready(&mut service).await;
    let mut answer = Box::pin(service.call(request()).await.expect("an answer").into_body());
    answer.as_mut().frame().await.expect("a frame").expect("no error");
    assert!(is_alive(&seen));
    drop(answer);
    assert!(!is_alive(&seen), "the response's body is alive");
}

fn is_alive(seen: &Seen) -> bool {
    let body = seen.body.lock().expect("nobody panics with it");
    body.as_ref().is_some_and(|body| body.upgrade().is_some())
}

/// Data, trailers, and what a body says of itself, come through.
async fn bodies<L, S, RB>(layer: &L)
where
    L: Layer<Inner, Service = S>,
    S: Service<Request<TestBody>, Response = Response<RB>>,
    S::Error: Debug,
    RB: Body<Data = Bytes>,
    RB::Error: Debug,
{
    let mut service = layer.layer(Inner::new(Answer::Full));
    ready(&mut service).await;
    let answer = service.call(request()).await.expect("an answer");
    assert_eq!(answer.headers()["set-cookie"], SECRET);
    let mut body = Box::pin(answer.into_body());
    let mut left = (SECRET.len() + "second".len()) as u64;
    let mut data = Vec::new();
    for _ in 0..2 {
        assert_eq!(body.size_hint().exact(), Some(left));
        assert!(!body.is_end_stream());
        let frame = body.as_mut().frame().await.expect("a frame").expect("no error");
        let piece = frame.into_data().expect("data");
        left -= piece.len() as u64;
        data.extend_from_slice(&piece);
    }
    assert_eq!(data, format!("{SECRET}second").as_bytes());
    let frame = body.as_mut().frame().await.expect("a frame").expect("no error");
    assert_eq!(frame.into_trailers().expect("trailers")["x-trailer"], SECRET);
    assert!(body.is_end_stream());
    assert!(body.as_mut().frame().await.is_none());
}

/// An error comes out: as one, or as a response that says so.
async fn failures<L, S, RB>(layer: &L)
where
    L: Layer<Inner, Service = S>,
    S: Service<Request<TestBody>, Response = Response<RB>>,
{
    for answer in [Answer::Fail, Answer::Unready] {
        match layer.layer(Inner::new(answer)).oneshot(request()).await {
            Err(_) => {}
            Ok(response) => {
                assert_eq!(response.status(), 500);
                assert_eq!(response.headers()["x-tunnel-error"], "internal");
            }
        }
    }
}

/// Nothing that a layer prints has a secret in it.
async fn silence<L, S, RB>(layer: &L)
where
    L: Layer<Inner, Service = S> + Debug,
    S: Service<Request<TestBody>, Response = Response<RB>> + Debug,
    S::Error: Debug,
    S::Future: Debug,
    RB: Body<Data = Bytes> + Debug,
    RB::Error: Debug,
{
    assert_silent(layer);
    for answer in [Answer::Full, Answer::Fail, Answer::Hanging] {
        let mut service = layer.layer(Inner::new(answer));
        assert_silent(&service);
        ready(&mut service).await;
        let mut call = Box::pin(service.call(request()));
        assert_silent(&service);
        assert_silent(&call);
        match call.as_mut().await {
            Ok(response) => {
                let mut body = Box::pin(response.into_body());
                assert_silent(&body);
                let _ = body.as_mut().frame().await;
                assert_silent(&body);
            }
            Err(error) => assert_silent(&error),
        }
        assert_silent(&call);
    }
}

pub(crate) fn assert_silent(value: &impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn metrics_keeps_the_contract() {
    contract(MetricsLayer::new().overview(Overview::new())).await;
    contract(MetricsLayer::new().enabled(false)).await;
}

#[tokio::test]
async fn access_log_keeps_the_contract() {
    contract(access_log()).await;
    contract(AccessLogLayer::new().enabled(false)).await;
}

#[tokio::test]
async fn trace_id_keeps_the_contract() {
    contract(TraceIdLayer::new()).await;
}

#[tokio::test]
async fn rescue_keeps_the_contract() {
    contract(RescueLayer::new()).await;
}

#[tokio::test]
async fn route_keeps_the_contract() {
    contract(route()).await;
}

#[tokio::test]
async fn auth_keeps_the_contract() {
    contract(auth()).await;
}

#[tokio::test]
async fn credentials_keep_the_contract() {
    contract(CredentialsLayer::bearer(SECRET).expect("a token")).await;
}

#[tokio::test]
async fn split_keeps_the_contract() {
    let rules = Rules::compile_with_upstreams([]).expect("no rule is right");
    contract(RouteLayer::with_upstreams(rules, Inner::new(Answer::Fail)).1).await;
}

#[tokio::test]
async fn deadline_keeps_the_contract() {
    let hour = std::time::Duration::from_secs(3_600);
    contract(DeadlineLayer::new().default_timeout(hour)).await;
    let each = DeadlineLayer::new()
        .default_head_timeout(hour)
        .default_request_idle_timeout(hour)
        .default_response_idle_timeout(hour);
    contract(each).await;
}

#[tokio::test]
async fn rate_limit_keeps_the_contract() {
    contract(rate_limit()).await;
}

#[tokio::test]
async fn concurrency_keeps_the_contract() {
    let layer = concurrency();
    contract(layer.clone()).await;
    assert_eq!((layer.load().running, layer.load().waiting), (0, 0));
}

#[tokio::test]
async fn balance_keeps_the_contract() {
    contract(balance()).await;
}

#[tokio::test]
async fn target_keeps_the_contract() {
    contract(TargetLayer::group("app".parse().expect("a name"))).await;
}

#[tokio::test]
async fn grpc_web_keeps_the_contract() {
    contract(GrpcWebLayer::new().cors(Cors::any_origin())).await;
}

#[tokio::test]
async fn upgrade_keeps_the_contract() {
    contract(UpgradeLayer::new()).await;
}

/// A layer that calls a clone which is not ready, the commonest mistake of all.
#[derive(Clone, Debug)]
struct Careless<S>(S);

impl<S, B> Service<Request<B>> for Careless<S>
where
    S: Service<Request<B>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.0.clone().call(request)
    }
}

#[tokio::test]
#[should_panic(expected = "called without having become ready")]
async fn the_contract_finds_a_careless_layer() {
    contract(tower::layer::layer_fn(Careless)).await;
}

/// A layer that prints what it holds.
#[derive(Clone, Debug)]
struct Chatty<S> {
    inner: S,
    last: Option<String>,
}

impl<S, B> Service<Request<B>> for Chatty<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.last = Some(request.uri().to_string());
        self.inner.call(request)
    }
}

#[tokio::test]
#[should_panic(expected = "hush-hush-hush")]
async fn the_contract_finds_a_chatty_layer() {
    contract(tower::layer::layer_fn(|inner| Chatty { inner, last: None })).await;
}
