#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tunnel_layers::{
    auth::{
        AnyOf, AuthLayer, Authenticator as _, Basic, BearerToken, BearerTokens, BoxAuthenticator, Jwt,
        JwtAlgorithm, JwtKeys,
    },
    deadline::DeadlineLayer,
    trace_id::TraceIdLayer,
};

/// The password is `correct horse`, and its check is as cheap as one can be.
const USERS: &str =
    "bob:$argon2id$v=19$m=64,t=1,p=2$DOJr2mQnAAtv6YNj0kSp9w$GuYxJmZSIQU4TdJFWkJHhRVXtRz091EOd42MAnF40pM";

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    static CALLERS: AnyOf = callers();
}

fn callers() -> AnyOf {
    let token = BearerToken::new("ci", "0123456789-a-token-of-ours").expect("a token");
    let secret = JwtKeys::new().secret(None, b"0123456789abcdef0123456789abcdef");
    let jwt = Jwt::builder(secret.expect("a secret"))
        .algorithm(JwtAlgorithm::HS256)
        .issuer("https://id.example.com/")
        .audience("api")
        .build()
        .expect("the settings are right");
    let all: [BoxAuthenticator; 3] = [
        BearerTokens::new([token]).expect("one is enough").boxed(),
        Basic::new(USERS.parse().expect("users")).boxed(),
        jwt.boxed(),
    ];
    AnyOf::new(all).expect("three are enough")
}

// Each line is a field: what callers show, how long their calls may take, where they trace.
fuzz_target!(|bytes: &[u8]| {
    let mut request = Request::post("/a.B/C").header("host", "a.example");
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        request = request.header(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    }
    let Ok(request) = request.body(Full::new(Bytes::from_static(b"body"))) else {
        return;
    };
    let app = service_fn(|request: Request<_>| async move {
        assert_eq!(request.headers().get_all("x-caller").iter().count(), 1);
        let body = BodyExt::collect(request.into_body())
            .await
            .map(|body| body.to_bytes());
        Ok::<_, Infallible>(Response::new(Full::new(body.unwrap_or_default())))
    });
    let auth = AuthLayer::new(CALLERS.with(AnyOf::clone))
        .principal_header("x-caller".parse().expect("a name"))
        .expect("a name of our own");
    let app = TraceIdLayer::new().layer(DeadlineLayer::new().layer(auth.layer(app)));
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let answer = app.oneshot(request).await.expect("never an error");
            let _ = answer.into_body().collect().await;
        });
    });
});
