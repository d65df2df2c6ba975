//! What the authenticating layer costs for a request that it lets in, beside the bare service: `cargo bench -p tunnel-layers
//! --all-features --bench auth`. Passwords and authorization servers are not here: what they cost is theirs.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, layer::util::Identity};
use tunnel_core::{Access, Routed, Target, admit};
use tunnel_layers::auth::{
    AnyOf, AuthLayer, Authenticator, BearerToken, BearerTokens, BoxAuthenticator, Jwt, JwtAlgorithm, JwtKeys,
};

type Body = Full<Bytes>;

/// Of the tests: tokens by PyJWT, valid until 2100, and the keys that they were made by.
const TOKENS: &str = include_str!("../src/auth/jwt/testdata/pyjwt.txt");
const KEYS: &str = include_str!("../src/auth/jwt/testdata/jwks.json");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

const HOUR: Duration = Duration::from_secs(3600);

/// Answers at once.
#[derive(Clone)]
struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Body::default())))
    }
}

/// A request that has been admitted and routed, so that the layer's own work is left.
fn request(token: &str, access: Access) -> Request<Body> {
    let request = Request::post("/path")
        .header("host", "example.com")
        .header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::from("content")).expect("a valid request");
    let (mut parts, body) = request.into_parts();
    admit::ensure(&mut parts).expect("it is admitted");
    let target = Target::Group("app".parse().expect("a name"));
    let mut routed = Routed::new("rule", target);
    routed.access = access;
    parts.extensions.insert(routed);
    Request::from_parts(parts, body)
}

fn measure<L, S, RB>(criterion: &mut Criterion, name: &str, layer: &L, request: &Request<Body>)
where
    L: Layer<Bare, Service = S>,
    S: Service<Request<Body>, Response = Response<RB>, Error = Infallible>,
{
    let mut service = layer.layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let _ = black_box(service.poll_ready(&mut cx));
            let mut call = std::pin::pin!(service.call(request.clone()));
            let Poll::Ready(Ok(answer)) = call.as_mut().poll(&mut cx) else {
                panic!("the service answers at once");
            };
            assert_eq!(answer.status(), 200);
        });
    });
}

fn bearer() -> BearerTokens {
    let token = BearerToken::new("ci", SECRET).expect("a token");
    BearerTokens::new([token]).expect("one is enough")
}

/// Verifies every token, or those that it has not seen in the last hour.
fn jwt(algorithm: JwtAlgorithm, remember: Duration) -> Jwt {
    let keys = JwtKeys::new()
        .jwks(KEYS.as_bytes())
        .and_then(|keys| keys.secret(Some("hmac"), SECRET.as_bytes()))
        .expect("the keys are good");
    Jwt::builder(keys)
        .algorithm(algorithm)
        .issuer("https://id.example.com/")
        .audience("api")
        .remember(remember)
        .build()
        .expect("the settings are right")
}

fn auth(criterion: &mut Criterion) {
    let token = request(SECRET, Access::Default);
    measure(criterion, "bare", &Identity::new(), &token);
    let layer = AuthLayer::new(bearer());
    measure(
        criterion,
        "auth/public_rule",
        &layer,
        &request(SECRET, Access::Public),
    );
    measure(criterion, "auth/bearer", &layer, &token);
    let header = "x-caller".parse().expect("a name");
    let layer = layer.principal_header(header).expect("a name of our own");
    measure(criterion, "auth/bearer_and_header", &layer, &token);
    let both: [BoxAuthenticator; 2] = [jwt(JwtAlgorithm::HS256, HOUR).boxed(), bearer().boxed()];
    let layer = AuthLayer::new(AnyOf::new(both).expect("two are enough"));
    measure(criterion, "auth/any_of_two", &layer, &token);
    for (prefix, name, algorithm) in [
        ("HS256", "auth/jwt_hs256", JwtAlgorithm::HS256),
        ("RS256", "auth/jwt_rs256", JwtAlgorithm::RS256),
        ("ES256", "auth/jwt_es256", JwtAlgorithm::ES256),
        ("EdDSA", "auth/jwt_eddsa", JwtAlgorithm::EdDSA),
    ] {
        let line = TOKENS.lines().find_map(|line| line.strip_prefix(prefix));
        let token = line.expect("there is one of each").trim();
        let request = request(token, Access::Default);
        let layer = AuthLayer::new(jwt(algorithm, Duration::ZERO));
        measure(criterion, name, &layer, &request);
        let layer = AuthLayer::new(jwt(algorithm, HOUR));
        measure(criterion, &format!("{name}_again"), &layer, &request);
    }
}

criterion_group!(benches, auth);
criterion_main!(benches);
