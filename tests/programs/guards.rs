//! The operator's gateway, guarded by what stands in its file.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    extract::ws::WebSocketUpgrade,
    routing::{any, get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream;
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tunnel_examples::client::{tungstenite, websocket};
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
};

use crate::{
    program::{Running, TOKEN, output, program},
    world::{Files, RunningGateway, TO_WEB, agent_file, gateway_file},
};

/// The user alice, whose password is [`PASSWORD`].
const USERS: &str = "alice:$2y$04$Sp/Mi6usANC067kwOk13jep5hVHr7JtE4L9AHOSnIUQi/.WDNeZXO\n";
const PASSWORD: &str = "correct horse";

/// Of `dora`, signed with [`TOKEN`] by HS256, by another implementation; good until 2100, and over since 2001.
const JWT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
                   eyJpc3MiOiJtZSIsImF1ZCI6ImFwaSIsInN1YiI6ImRvcmEiLCJleHAiOjQxMDI0NDQ4MDB9.\
                   VHdptLfT1W_tXfmyRXr314ReAKdstRBtylmlaw2Ixrk";
const OLD_JWT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
                       eyJpc3MiOiJtZSIsImF1ZCI6ImFwaSIsInN1YiI6ImRvcmEiLCJleHAiOjEwMDAwMDAwMDB9.\
                       02zZZokOtyuk5ki1p2SoOAdWHGzJ-6IpvJhvKKRsenk";

/// Of `erin`, signed by the key that [`server`] publishes, whose public half is [`PUBLISHED`].
const EDDSA: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6Im9uZSJ9.\
                     eyJpc3MiOiJwdWJsaXNoZWQiLCJhdWQiOiJhcGkiLCJzdWIiOiJlcmluIiwiZXhwIjo0MTAyNDQ0ODAwfQ.\
                     lFOJWAHbeR4wioeM71ZxvEPUUHroKL6CIzobwPf4RPY74BoALa9T48JLOFWMAT3VKR0dXMcQKCi_3AUY88CvDQ";
const PUBLISHED: &str = "DJA0DVOIMwk-y0sP89NHYTHBkgpF0-4MksMJq9cDcUU";

/// A token that only the authorization server knows.
const OPAQUE: &str = "opaque-token-of-carol";

/// Rules, and who may call by them. The agent's own token is also that of the caller `ci`.
fn rules(users: &str, server: &str) -> String {
    format!(
        "  - {{id: open, path: /open, auth: public, group: web}}
  - {{id: ci, path: /ci, auth: tokens, group: web}}
  - {{id: rare, path: /rare, rate_limit: {{rate: 1/h, burst: 1}}, group: web}}
  - {{id: slow, path: /slow, timeout: 200ms, group: web}}
  - {{id: web, group: web}}
auth:
  default: anybody
  principal_header: x-user
  strip_credentials: true
  realm: the tests
  providers:
    people: {{basic: {{htpasswd: {users}}}}}
    tokens: {{bearer: [{{name: ci, token_env: TUNNEL_TOKEN}}]}}
    sso: {{jwt: {{algorithms: [HS256], issuers: [me], audiences: [api], secret_env: TUNNEL_TOKEN}}}}
    opaque:
      introspection: {{url: \"{server}/introspect\", client_id: gateway, client_secret_env: TUNNEL_TOKEN}}
    published:
      jwt: {{algorithms: [EdDSA], issuers: [published], audiences: [api], jwks_url: \"{server}/keys\"}}
  policies:
    anybody: {{any_of: [people, tokens, sso, published, opaque]}}
rate_limits:
  - {{key: principal, rate: 1000/s}}
  - {{name: first, key: address, rate: 1000/s, before_auth: true}}
concurrency: {{max: 100, per_key: {{key: principal, max: 10}}}}
timeouts: {{head: 20s, request_idle: 300ms}}
"
    )
}

/// What stands behind the agent: it says who calls, and what credentials it got to see.
fn app() -> Router {
    let who = |headers: HeaderMap, _: Bytes| async move {
        let field = |name: &str| {
            headers
                .get(name)
                .map_or("nobody", |value| value.to_str().unwrap_or("?"))
        };
        format!("{} {}", field("x-user"), field("authorization"))
    };
    Router::new()
        .route("/slow", get(pending::<String>))
        .route(
            "/socket",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(|_| async {}) }),
        )
        .fallback(who)
}

/// An issuer that publishes its key, and an authorization server that knows [`OPAQUE`], and counts what it is asked by the client that it knows.
fn server(asked: Arc<AtomicUsize>) -> Router {
    let introspect = |State(asked): State<Arc<AtomicUsize>>, headers: HeaderMap, body: String| async move {
        let us = format!("Basic {}", STANDARD.encode(format!("gateway:{TOKEN}")));
        assert_eq!(headers["authorization"], us);
        asked.fetch_add(1, Ordering::SeqCst);
        let is_known = body.contains(OPAQUE);
        let answer = json!({"active": is_known, "sub": "carol", "username": "carol"});
        ([(header::CONTENT_TYPE, "application/json")], answer.to_string())
    };
    let keys = || async {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig", "x": PUBLISHED});
        json!({"keys": [key]}).to_string()
    };
    Router::new()
        .route("/introspect", post(introspect))
        .route("/keys", get(keys))
        .with_state(asked)
}

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("alice:{password}")))
}

struct World {
    gateway: RunningGateway,
    asked: Arc<AtomicUsize>,
    _agent: Running,
    _origins: [Origin; 2],
    _files: Files,
}

impl World {
    async fn new() -> Self {
        let asked = Arc::default();
        let origins = [
            Origin::http1(app()).await,
            Origin::http1(server(Arc::clone(&asked))).await,
        ];
        let files = Files::new();
        let users = files.write("users.htpasswd", USERS);
        let file = files.write("gateway.yaml", &gateway_file(&rules(&users, &origins[1].uri())));
        let mut command = program("gateway", &["--config", &file]);
        command.env(
            "RUST_LOG",
            "info,tunnel_core=trace,tunnel_layers=trace,tunnel_transport=trace,gateway=trace",
        );
        let gateway = RunningGateway::of(command).await;
        let upstream = format!("{{url: \"{}\"}}", origins[0].uri());
        let file = files.write("agent.yaml", &agent_file(gateway.agents, &upstream));
        let mut agent = Running::start(program("agent", &["--config", &file]));
        agent.line("ready ").await;
        Self {
            gateway,
            asked,
            _agent: agent,
            _origins: origins,
            _files: files,
        }
    }

    async fn send(&self, version: Version, request: Request<Body>) -> Response<Incoming> {
        let mut client = Client::connect(version, self.gateway.listen).await;
        client.send(request).await.expect("an answer")
    }

    /// The status of a GET with these credentials, and the text if it is 200.
    async fn get(&self, path: &str, credentials: &str) -> (u16, String) {
        let mut request = Request::get(path);
        if !credentials.is_empty() {
            request = request.header(header::AUTHORIZATION, credentials);
        }
        let request = request.header("x-user", "root").body(Body::empty());
        let answer = self.send(Version::Http1, request.expect("a request")).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let text = if status == 200 {
            String::from_utf8_lossy(&body).into_owned()
        } else {
            String::new()
        };
        (status, text)
    }
}

#[tokio::test]
async fn what_the_file_says_about_callers_holds() {
    let world = World::new().await;
    within_limit(async {
        let refused = (401, String::new());
        for (credentials, who) in [
            (basic(PASSWORD), "alice"),
            (format!("Bearer {TOKEN}"), "ci"),
            (format!("Bearer {JWT}"), "dora"),
            (format!("Bearer {OPAQUE}"), "carol"),
            (format!("Bearer {OPAQUE}"), "carol"),
            (format!("Bearer {EDDSA}"), "erin"),
        ] {
            let expected = (200, format!("{who} nobody"));
            assert_eq!(world.get("/", &credentials).await, expected, "{who}");
            let expected = if who == "ci" { expected } else { refused.clone() };
            assert_eq!(
                world.get("/ci", &credentials).await,
                expected,
                "{who} by the policy of the rule"
            );
        }
        assert_eq!(world.asked.load(Ordering::SeqCst), 1, "answers are remembered");
        for credentials in [
            "",
            &basic("wrong horse"),
            "Bearer 0123456789abcdef0123456789abcdee",
            &format!("Bearer {OLD_JWT}"),
        ] {
            assert_eq!(world.get("/", credentials).await, refused, "{credentials}");
        }
        assert_eq!(
            world.get("/open", "").await,
            (200, "nobody nobody".to_owned()),
            "a public rule"
        );

        let answer = world
            .send(Version::Http1, Request::get("/").body(Body::empty()).unwrap())
            .await;
        let told: Vec<_> = answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .collect();
        assert!(
            told.contains(&&"Basic realm=\"the tests\", charset=\"UTF-8\"".parse().unwrap()),
            "{told:?}"
        );
        assert!(
            told.contains(&&"Bearer realm=\"the tests\"".parse().unwrap()),
            "{told:?}"
        );

        let call = Request::post("/greeter.v1.Greeter/Greet").header("content-type", "application/grpc");
        let answer = world
            .send(Version::Http2, call.body(Body::empty()).unwrap())
            .await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &"16".parse().unwrap())
        );

        let error = websocket(world.gateway.listen, "/socket").await.unwrap_err();
        let refusal = error.downcast_ref::<tungstenite::Error>();
        let Some(tungstenite::Error::Http(answer)) = refusal else {
            panic!("no refusal: {error}")
        };
        assert_eq!(answer.status(), 401);
    })
    .await;
    silent(world).await;
}

#[tokio::test]
async fn what_the_file_says_about_limits_and_times_holds() {
    let world = World::new().await;
    within_limit(async {
        let ci = format!("Bearer {TOKEN}");
        assert_eq!(world.get("/rare", &ci).await.0, 200);
        let again = Request::get("/rare").header(header::AUTHORIZATION, &ci);
        let answer = world
            .send(Version::Http2, again.body(Body::empty()).unwrap())
            .await;
        assert_eq!(answer.status(), 429);
        let after: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3_500..=3_600).contains(&after), "{after}");
        assert_eq!(
            world.get("/rare", &basic(PASSWORD)).await.0,
            200,
            "each caller has a rate for itself"
        );
        let call = Request::post("/rare").header("content-type", "application/grpc");
        let call = call.header(header::AUTHORIZATION, &ci).body(Body::empty());
        let answer = world.send(Version::Http2, call.unwrap()).await;
        assert_eq!(answer.headers()["grpc-status"], "8");

        assert_eq!(world.get("/slow", &ci).await.0, 504);
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::post("/")
            .header(header::AUTHORIZATION, &ci)
            .body(endless);
        let answer = world.send(Version::Http1, request.unwrap()).await;
        assert_eq!(answer.status(), 408);
    })
    .await;
    silent(world).await;
}

/// Ends the gateway, and looks for secrets in all that it has printed.
async fn silent(world: World) {
    let program = world.gateway.program;
    program.signal("TERM");
    let ended = within_limit(program.ended()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let printed = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        printed.contains("DEBUG") || printed.contains("TRACE"),
        "it was told to say all: {printed}"
    );
    let shown = STANDARD.encode(format!("alice:{PASSWORD}"));
    for secret in [TOKEN, PASSWORD, &shown, JWT, OLD_JWT, EDDSA, OPAQUE, "$2y$04"] {
        assert!(!printed.contains(secret), "{secret}\n{printed}");
    }
}

#[tokio::test]
async fn a_policy_that_nothing_uses_is_told_in_the_log() {
    let files = Files::new();
    let auth = "auth:
  default: public
  providers:
    keys: {bearer: [{name: ci, token_env: TUNNEL_TOKEN}]}
";
    let file = files.write("gateway.yaml", &gateway_file(&format!("{TO_WEB}{auth}")));
    let ended = within_limit(output("gateway", &["--check", "--config", &file])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("gateway.yaml:15: no rule and no policy uses `keys`"),
        "{ended:?}"
    );
    let used = gateway_file(&format!("{TO_WEB}{}", auth.replace("public", "keys")));
    let file = files.write("gateway.yaml", &used);
    let ended = within_limit(output("gateway", &["--check", "--config", &file])).await;
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
}

#[tokio::test]
async fn agents_may_show_what_callers_show() {
    let files = Files::new();
    let auth = "auth:
  default: public
  providers:
    keys: {bearer: [{name: edge, token_env: TUNNEL_TOKEN, groups: [web]}, {name: other, token_env: OTHER}]}
";
    let text = gateway_file(&format!("{TO_WEB}{auth}"));
    let (before, tokens) = text.split_once("  tokens:").expect("tokens");
    let (_, after) = tokens.split_once("groups: [web]\n").expect("groups");
    let file = files.write("gateway.yaml", &format!("{before}  auth: keys\n{after}"));
    let other = "fedcba9876543210fedcba9876543210";
    let mut command = program("gateway", &["--config", &file]);
    command.env("OTHER", other);
    let gateway = RunningGateway::of(command).await;

    let origin = Origin::http1(app()).await;
    let file = files.write(
        "agent.yaml",
        &agent_file(gateway.agents, &format!("{{url: \"{}\"}}", origin.uri())),
    );
    for wrong in [other, "0000000000000000"] {
        let mut command = program("agent", &["--config", &file]);
        command.env("TUNNEL_TOKEN", wrong);
        let ended = within_limit(Running::start(command).ended()).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(!ended.stderr.contains(wrong), "{ended:?}");
    }
    let mut agent = Running::start(program("agent", &["--config", &file]));
    agent.line("ready ").await;
    let (status, text) = within_limit(crate::world::get(gateway.listen, "/")).await;
    assert_eq!((status, text.as_str()), (200, "nobody nobody"));
}
