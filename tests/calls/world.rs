//! A gateway that serves what its agents ask, by rules of its own, through an app that another agent has.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request as AppRequest, ws::WebSocketUpgrade},
    response::Response as AppResponse,
    routing::{any, get},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use tower::{Service, ServiceBuilder, ServiceExt as _};
use tunnel_core::{BoxError, Settings, TunnelBody};
use tunnel_layers::{
    auth::{AgentCallers, AuthLayer, Authenticator as _, Policies},
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    concurrency::ConcurrencyLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    key::ByPrincipal,
    rate_limit::RateLimitLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    target::ClientExt as _,
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::{
    tunnel::{GROUP, Tunnel, group},
    wait::eventually,
    websocket::echo,
};
use tunnel_transport::{Agent, AgentTokens, AllowedGroups, Gateway};

/// The group of agents that ask.
pub(crate) const EDGE: &str = "edge";

const TOKENS: [(&str, &str); 5] = [
    ("app", "the-token-of-the-app"),
    ("edge", "the-token-of-the-edge"),
    ("other", "the-token-of-another"),
    ("circle", "the-token-of-a-circle"),
    ("greeter", "the-token-of-the-greeter"),
];

/// The header in which the app is told who asks.
pub(crate) const CALLER: &str = "x-caller";

pub(crate) struct World {
    pub(crate) tunnel: Tunnel,
    /// An agent that may ask everything.
    pub(crate) edge: Agent,
    /// Requests that the app has and nobody has answered.
    pub(crate) stuck: Arc<AtomicUsize>,
}

impl World {
    /// Everything is connected, and the gateway serves what agents ask.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// The same, with these settings of the gateway's sessions.
    pub(crate) async fn with(settings: Settings) -> Self {
        let world = Self::start(settings).await;
        world.serve_calls();
        world
    }

    /// The same, but that the gateway does not serve what agents ask.
    pub(crate) async fn refusing() -> Self {
        Self::start(Settings::default()).await
    }

    async fn start(settings: Settings) -> Self {
        let gateway = Gateway::builder()
            .agent_auth(tokens_without("nobody"))
            .settings(settings);
        let rules = [
            Rule::group("to-edge", group(EDGE)).path_prefix("/edge"),
            Rule::group("to-app", group(GROUP)),
        ];
        let mut tunnel = Tunnel::builder().gateway(gateway).rules(rules).start().await;
        let stuck = Arc::new(AtomicUsize::new(0));
        let app = app(stuck.clone());
        tunnel
            .run_agent(tunnel.agent(GROUP).token(TOKENS[0].1), app)
            .await;
        let edge = Self::agent(&mut tunnel, EDGE, TOKENS[1].1).await;
        Self { tunnel, edge, stuck }
    }

    /// Another agent, which may not ask everything.
    pub(crate) async fn other(&mut self) -> Agent {
        Self::agent(&mut self.tunnel, "other", TOKENS[2].1).await
    }

    /// An agent of the group to which everything below `/circle` goes; it does not run yet.
    pub(crate) fn circle(&self) -> Agent {
        let agent = self.tunnel.agent("circle").token(TOKENS[3].1);
        agent.build().expect("an agent")
    }

    /// An agent of the group to which calls of the greeter go; it does not run yet.
    pub(crate) fn greeter(&self) -> Agent {
        let agent = self.tunnel.agent("greeter").token(TOKENS[4].1);
        agent.build().expect("an agent")
    }

    async fn agent(tunnel: &mut Tunnel, group: &str, token: &str) -> Agent {
        // Its own name for itself is that of somebody who may ask everything.
        let agent = tunnel.agent(group).id("edge").token(token);
        tunnel.run_agent(agent, app(Arc::default())).await
    }

    pub(crate) fn serve_calls(&self) {
        self.serve_within(Limits::default());
    }

    /// The same, within these limits.
    pub(crate) fn serve_within(&self, limits: Limits) {
        let gateway = &self.tunnel.gateway;
        gateway.serve_calls(calls(gateway, limits));
    }

    /// Nothing is left of any exchange, at either end.
    pub(crate) async fn settled(&self) {
        self.tunnel.settled().await;
        for agent in &self.tunnel.agents {
            for session in agent.sessions() {
                eventually(|| session.pending() == 0 && session.load() == 0).await;
            }
        }
    }
}

/// What holds agents back; by default nothing does that a test would meet.
pub(crate) struct Limits {
    pub(crate) rate: RateLimitLayer<ByPrincipal>,
    pub(crate) places: ConcurrencyLayer,
    pub(crate) deadline: DeadlineLayer,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: RateLimitLayer::per_second(1_000_000).key(ByPrincipal),
            places: ConcurrencyLayer::new(),
            deadline: DeadlineLayer::new(),
        }
    }
}

/// The recommended stack, with rules for agents.
fn calls(
    gateway: &Gateway,
    limits: Limits,
) -> impl Service<
    Request<TunnelBody>,
    Response = Response<impl http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + use<>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ use<> {
    let rules = [
        Rule::group("for-all", group(GROUP)).path_prefix("/open"),
        Rule::group("greeter", group("greeter")).grpc_service("greeter.v1.Greeter"),
        Rule::group("circle", group("circle")).path_prefix("/circle"),
        Rule::group("for-edge", group(GROUP)).policy("edge"),
    ];
    let policies = Policies::new([
        ("any", AgentCallers::any().boxed()),
        ("edge", AgentCallers::only().named("edge").boxed()),
    ]);
    let policies = policies.expect("two policies").default_policy("any");
    let auth = AuthLayer::policies(policies.expect("it is there"));
    let auth = auth.principal_header(CALLER.parse().expect("a name"));
    ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(Rules::compile(rules).expect("rules")))
        .layer(auth.expect("a header of ours"))
        .layer(limits.rate)
        .layer(limits.places)
        .layer(limits.deadline)
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport())
}

/// An app that says who asks and by which way, says back what it is told, and is stuck if it shall be.
fn app(stuck: Arc<AtomicUsize>) -> Router {
    Router::new()
        .route(
            "/ws",
            any(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
        )
        .route(
            "/open/ws",
            any(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
        )
        .route(
            "/stuck",
            get(move || {
                let stuck = Stuck::new(stuck.clone());
                async move {
                    std::future::pending::<()>().await;
                    drop(stuck);
                }
            }),
        )
        .route("/pkg.Echo/Call", any(grpc))
        .fallback(async |request: AppRequest| {
            let mut response = AppResponse::new(Body::empty());
            let fields = [CALLER, "x-forwarded-for", "x-tunnel-hops", "host"];
            for name in fields {
                if let Some(value) = request.headers().get(name) {
                    let name = format!("saw-{name}").parse::<http::HeaderName>().expect("a name");
                    response.headers_mut().insert(name, value.clone());
                }
            }
            response.map(|_| request.into_body())
        })
}

/// Says back the message, with trailers.
async fn grpc(request: AppRequest) -> AppResponse {
    let message = request.into_body().collect().await.expect("a message").to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message).with_trailers(async { Some(Ok::<_, Infallible>(trailers)) });
    let mut response = AppResponse::new(Body::new(body));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// Counts a request while it is there.
struct Stuck(Arc<AtomicUsize>);

impl Stuck {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A request, as a program beside the agent makes it.
pub(crate) fn request(path: &str, body: Body) -> Request<Body> {
    let request = Request::post(path).header(header::HOST, "app.internal");
    request.body(body).expect("a request")
}

/// A request that nobody answers.
pub(crate) fn stuck() -> Request<Body> {
    let mut stuck = request("/stuck", Body::empty());
    *stuck.method_mut() = Method::GET;
    stuck
}

/// The credentials of all agents but of those with this name.
pub(crate) fn tokens_without(gone: &str) -> AgentTokens {
    let left = TOKENS.iter().filter(|(name, _)| *name != gone);
    left.fold(AgentTokens::new(), |tokens, (name, secret)| {
        let tokens = tokens.token(name, secret, AllowedGroups::All);
        tokens.expect("a token")
    })
}

/// A call of gRPC.
pub(crate) fn call() -> Request<Body> {
    let message: &[u8] = b"\0\0\0\0\x03any";
    let mut call = request("/pkg.Echo/Call", Body::from(message));
    let grpc = HeaderValue::from_static("application/grpc");
    call.headers_mut().insert(header::CONTENT_TYPE, grpc);
    call.headers_mut()
        .insert(header::TE, HeaderValue::from_static("trailers"));
    call
}

/// What the gateway answers to an agent: the head, and the whole body with its trailers.
pub(crate) async fn ask(agent: &Agent, request: Request<Body>) -> Answer {
    let answer = agent.client().oneshot(request).await.expect("it never fails");
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole body");
    let trailers = body.trailers().cloned();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
        trailers: trailers.unwrap_or_default(),
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: bytes::Bytes,
    pub(crate) trailers: HeaderMap,
}
