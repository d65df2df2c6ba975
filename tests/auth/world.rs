//! A gateway whose rules have policies, and an app that says who called.

use std::{
    convert::Infallible,
    future::IntoFuture as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::ws::WebSocketUpgrade,
    response::{IntoResponse as _, Response as AppResponse},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, service_fn};
use tunnel_layers::{
    auth::{
        AnyOf, AuthLayer, Authenticator as _, Basic, BearerToken, BearerTokens, BoxAuthenticator, HttpClient,
        Introspection, Jwt, JwtAlgorithm, JwtKeys, Policies, Require,
    },
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::{
    tunnel::{GROUP, address, group, listener},
    websocket::echo,
};
use tunnel_transport::{Agent, Gateway, entry::Entry};

/// The header in which the app is told who calls.
pub(crate) const CALLER: &str = "x-caller";

/// The header in which the app says what it was told.
pub(crate) const SAW: &str = "x-saw-caller";

/// Users whose passwords are `correct horse`, as the `bcrypt` and `argon2-cffi` of Python wrote them.
const USERS: &str = "\
alice:$2y$04$Sp/Mi6usANC067kwOk13jep5hVHr7JtE4L9AHOSnIUQi/.WDNeZXO
bob:$argon2id$v=19$m=64,t=1,p=2$DOJr2mQnAAtv6YNj0kSp9w$GuYxJmZSIQU4TdJFWkJHhRVXtRz091EOd42MAnF40pM
";

/// The token of `ci`.
pub(crate) const TOKEN: &str = "0123456789-a-token-of-ours";

/// The token that the authorization server knows.
pub(crate) const KNOWN: &str = "opaque-token-of-carol";

/// The secret of the issuer of JSON Web Tokens.
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

pub(crate) struct World {
    pub(crate) addr: SocketAddr,
    calls: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let layer = AuthLayer::policies(policies())
            .principal_header(CALLER.parse().expect("a name"))
            .expect("a name of our own");
        let calls = Arc::new(AtomicUsize::new(0));
        let world = Self::guarded(layer, rules(), app(calls.clone())).await;
        Self { calls, ..world }
    }

    /// A gateway with these guards before an app.
    pub(crate) async fn guarded(layer: AuthLayer<BoxAuthenticator>, rules: Rules, app: Router) -> Self {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let stack = ServiceBuilder::new()
            .layer(TraceIdLayer::new())
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(rules))
            .layer(layer)
            .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
            .layer(UpgradeLayer::new())
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(gateway.transport());
        let (outside, agents) = (listener().await, listener().await);
        let (addr, agents_addr) = (address(&outside), address(&agents));
        let agent = Agent::builder(format!("http://{agents_addr}")).group(GROUP);
        let agent = agent.build().expect("the agent's settings are right");
        let serve = agent.serve(app);
        let mut tasks = JoinSet::new();
        tasks.spawn(Entry::new().serve(outside, stack).into_future());
        tasks.spawn(gateway.serve_agents(agents).into_future());
        tasks.spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        Self {
            addr,
            calls: Arc::default(),
            _tasks: tasks,
        }
    }

    /// How many requests came to the app.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// One rule for everything.
pub(crate) fn everything() -> Rules {
    Rules::compile([Rule::group("all", group(GROUP))]).expect("the rule is right")
}

/// The rules: `/NAME` has the policy NAME, `/public` none.
fn rules() -> Rules {
    let rule = |name: &str| Rule::group(name, group(GROUP)).path_prefix(format!("/{name}"));
    let named = ["tokens", "users", "jwt", "known", "any", "staff"].map(|name| rule(name).policy(name));
    let rules = named.into_iter().chain([rule("public").public()]);
    Rules::compile(rules).expect("the rules are right")
}

fn policies() -> Policies {
    let token = BearerToken::new("ci", TOKEN).expect("a token");
    let tokens = BearerTokens::new([token]).expect("one is enough").boxed();
    let users = Basic::new(USERS.parse().expect("users")).boxed();
    let jwt = Jwt::builder(JwtKeys::new().secret(None, SECRET).expect("a secret"))
        .algorithm(JwtAlgorithm::HS256)
        .issuer("https://id.example.com/")
        .audience("api")
        .build()
        .expect("the settings are right")
        .boxed();
    let known = Introspection::builder("http://id.example/".parse().expect("a URL"), server())
        .client_credentials("gateway", "secret")
        .build()
        .expect("the settings are right")
        .boxed();
    let all = [&tokens, &users, &jwt, &known].map(BoxAuthenticator::clone);
    let any = AnyOf::new(all).expect("four are enough").boxed();
    let staff = Require::new(any.clone()).scope("staff").expect("a scope").boxed();
    let named = [
        ("tokens", tokens),
        ("users", users),
        ("jwt", jwt),
        ("known", known),
        ("any", any),
        ("staff", staff),
    ];
    let policies = Policies::new(named).expect("the names are different");
    policies.check(rules().policies()).expect("all are there");
    policies
}

/// An authorization server that knows one token.
fn server() -> impl HttpClient {
    service_fn(async |request: Request<Full<Bytes>>| {
        let form = request.into_body().collect().await?.to_bytes();
        let is_known = form.starts_with(format!("token={KNOWN}&").as_bytes());
        let answer = match is_known {
            true => r#"{"active":true,"sub":"carol","scope":"read"}"#,
            false => r#"{"active":false}"#,
        };
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(answer.as_bytes()))))
    })
}

/// Says who called, and takes WebSockets.
fn app(calls: Arc<AtomicUsize>) -> Router {
    Router::new().fallback(
        async move |headers: HeaderMap, upgrade: Result<WebSocketUpgrade, _>| -> AppResponse {
            calls.fetch_add(1, Ordering::SeqCst);
            let _: &Result<_, axum::extract::ws::rejection::WebSocketUpgradeRejection> = &upgrade;
            let told: Vec<_> = headers.get_all(CALLER).iter().collect();
            let saw = match told.as_slice() {
                [] => HeaderValue::from_static("nobody"),
                [one] => (*one).clone(),
                _ => HeaderValue::from_static("several"),
            };
            let mut answer = match upgrade {
                Ok(upgrade) => echo::answer(upgrade),
                Err(_) => Body::empty().into_response(),
            };
            if headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|value| value == "application/grpc")
            {
                let fields = answer.headers_mut();
                fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                fields.insert("grpc-status", HeaderValue::from(0));
            }
            answer.headers_mut().insert(SAW, saw);
            answer
        },
    )
}
