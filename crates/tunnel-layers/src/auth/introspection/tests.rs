use futures_util::future::join_all;
use http::{Request, header};
use serde_json::{Value, json};
use tunnel_core::auth::{Principal, Refusal};

use super::*;
use crate::auth::test_server::{TestServer, client};

const TOKEN: &str = "a-token/that+has==";

fn from_now(seconds: i64) -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_secs_f64() + seconds as f64
}

fn active() -> Value {
    json!({"active": true, "sub": "alice", "scope": "read write", "client_id": "cli", "exp": from_now(3_600)})
}

fn builder(server: &TestServer) -> IntrospectionBuilder<impl HttpClient> {
    Introspection::builder(server.uri.clone(), client()).client_credentials("gateway", "hush-hush")
}

fn by(server: &TestServer) -> Introspection {
    builder(server).build().unwrap()
}

async fn says(answer: Value) -> TestServer {
    TestServer::new(move |_| (200, answer.to_string())).await
}

async fn ask(introspection: &Introspection, token: &str) -> Verdict {
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    introspection.authenticate(&AuthRequest::of(&parts)).await
}

async fn refusal(introspection: &Introspection, token: &str) -> Refusal {
    ask(introspection, token).await.unwrap_err().refusal()
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn an_active_token_is_taken_and_asked_about_as_the_standard_says() {
    let server = TestServer::new(|request| {
        assert_eq!(request.method(), "POST");
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(header("authorization"), "Basic Z2F0ZXdheTpodXNoLWh1c2g=");
        let form = "token=a-token%2Fthat%2Bhas%3D%3D&token_type_hint=access_token";
        assert_eq!(request.body(), form);
        (200, active().to_string())
    })
    .await;
    let principal = ask(&by(&server), TOKEN).await.unwrap();
    assert_eq!((principal.name(), principal.scheme()), ("alice", "introspection"));
    assert!(principal.has(Principal::SCOPE, "write") && principal.has("client_id", "cli"));
    assert!(principal.expires().is_some());
}

#[tokio::test]
async fn the_same_token_is_asked_about_once() {
    let server = says(active()).await;
    let introspection = by(&server);
    let gate = server.hold().await;
    let all = join_all((0..20).map(|_| ask(&introspection, TOKEN)));
    let open = async {
        server.called().await;
        drop(gate);
    };
    let (all, ()) = tokio::join!(all, open);
    assert!(all.iter().all(Result::is_ok));
    assert!(ask(&introspection.clone(), TOKEN).await.is_ok());
    assert_eq!(server.calls(), 1);
    assert!(ask(&introspection, "another").await.is_ok());
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_nobody_with_it() {
    let server = says(active()).await;
    let introspection = by(&server);
    let gate = server.hold().await;
    let mut leaves = tokio_test::task::spawn(Box::pin(ask(&introspection, TOKEN)));
    assert!(leaves.poll().is_pending());
    let mut stays = tokio_test::task::spawn(Box::pin(ask(&introspection, TOKEN)));
    assert!(stays.poll().is_pending());
    drop(leaves);
    server.called().await;
    drop(gate);
    assert!(stays.await.is_ok());
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn that_a_token_is_active_is_forgotten_after_a_while() {
    let server = says(active()).await;
    let introspection = by(&server);
    ask(&introspection, TOKEN).await.unwrap();
    server.set(|_| (200, json!({"active": false}).to_string()));
    pass(DEFAULT_ACTIVE_TIME - Duration::from_secs(1)).await;
    assert!(ask(&introspection, TOKEN).await.is_ok());
    pass(Duration::from_secs(1)).await;
    assert_eq!(refusal(&introspection, TOKEN).await, Refusal::Invalid);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_token_is_not_remembered_longer_than_it_is_valid() {
    let server = says(json!({"active": true, "sub": "alice", "exp": from_now(20)})).await;
    let introspection = by(&server);
    ask(&introspection, TOKEN).await.unwrap();
    pass(Duration::from_secs(20)).await;
    ask(&introspection, TOKEN).await.unwrap();
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn that_a_token_is_not_active_is_remembered_for_a_moment() {
    let server = says(json!({"active": false})).await;
    let introspection = by(&server);
    for _ in 0..3 {
        let rejection = ask(&introspection, TOKEN).await.unwrap_err();
        assert_eq!(rejection.refusal(), Refusal::Invalid);
        let challenge = rejection.challenges()[0].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    assert_eq!(server.calls(), 1);
    server.set(|_| (200, active().to_string()));
    pass(DEFAULT_INACTIVE_TIME).await;
    assert!(ask(&introspection, TOKEN).await.is_ok());
}

#[tokio::test]
async fn tokens_that_somebody_makes_up_do_not_push_out_good_ones() {
    let server = TestServer::new(|request| {
        let is_good = request.body().starts_with(b"token=good");
        (
            200,
            if is_good {
                active()
            } else {
                json!({"active": false})
            }
            .to_string(),
        )
    })
    .await;
    let introspection = by(&server);
    ask(&introspection, "good").await.unwrap();
    for index in 0..50 {
        assert!(ask(&introspection, &format!("bad{index}")).await.is_err());
    }
    let calls = server.calls();
    ask(&introspection, "good").await.unwrap();
    assert_eq!(server.calls(), calls);
}

#[tokio::test]
async fn what_a_server_says_is_checked() {
    for (answer, expected) in [
        (json!({"active": false, "sub": "alice"}), "the token is not valid"),
        (
            json!({"active": true, "sub": "alice", "exp": from_now(-1)}),
            "the token has expired",
        ),
        (
            json!({"active": true, "sub": "alice", "nbf": from_now(60)}),
            "the token is not valid yet",
        ),
        (json!({"active": true}), "the token does not say whose it is"),
        (
            json!({"active": true, "sub": ""}),
            "the token does not say whose it is",
        ),
    ] {
        let server = says(answer).await;
        assert_eq!(ask(&by(&server), TOKEN).await.unwrap_err().message(), expected);
    }
    let both = json!({"active": true, "username": "bob", "aud": ["web", "api"], "iss": "https://id.example/", "groups": "staff"});
    let server = says(both).await;
    let demanding = |audience, issuer| {
        builder(&server)
            .audience(audience)
            .issuer(issuer)
            .build()
            .unwrap()
    };
    let taken = ask(&demanding("api", "https://id.example/"), TOKEN)
        .await
        .unwrap();
    assert!(taken.name() == "bob" && taken.has(Principal::GROUPS, "staff"));
    let refused = ask(&demanding("ap", "https://id.example/"), TOKEN)
        .await
        .unwrap_err();
    assert_eq!(refused.message(), "the token is meant for somebody else");
    let refused = ask(&demanding("api", "https://id.example"), TOKEN)
        .await
        .unwrap_err();
    assert_eq!(refused.message(), "the token's issuer is not trusted");
}

#[tokio::test]
async fn a_server_that_is_down_or_confused_lets_nobody_in_and_sends_nobody_away() {
    let active = || active().to_string();
    for (status, body) in [
        (500, active()),
        (401, active()),
        (302, active()),
        (200, "<html>".to_owned()),
        (200, "{}".to_owned()),
        (200, r#"{"active":"true","sub":"a"}"#.to_owned()),
        (200, r#"{"active":1,"sub":"a"}"#.to_owned()),
        (200, r#"{"active":false,"active":true,"sub":"a"}"#.to_owned()),
        (200, format!("{}{}", active(), " ".repeat(70_000))),
    ] {
        let server = TestServer::new(move |_| (status, body.clone())).await;
        let introspection = by(&server);
        for _ in 0..2 {
            assert_eq!(
                refusal(&introspection, TOKEN).await,
                Refusal::Unavailable,
                "{status}"
            );
        }
        // It is not remembered that it failed.
        assert_eq!(server.calls(), 2);
        server.set(move |_| (200, self::active().to_string()));
        assert!(ask(&introspection, TOKEN).await.is_ok());
    }
    let server = says(json!({})).await;
    let introspection = by(&server);
    drop(server);
    assert_eq!(refusal(&introspection, TOKEN).await, Refusal::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let never = tower::service_fn(|_: Request<http_body_util::Full<bytes::Bytes>>| {
        std::future::pending::<
            Result<http::Response<http_body_util::Full<bytes::Bytes>>, std::convert::Infallible>,
        >()
    });
    let introspection = Introspection::builder("http://id.example/".parse().unwrap(), never)
        .client_credentials("a", "b")
        .build()
        .unwrap();
    let start = Instant::now();
    assert_eq!(refusal(&introspection, TOKEN).await, Refusal::Unavailable);
    assert_eq!(start.elapsed(), DEFAULT_CALL_TIMEOUT);

    // Others that come meanwhile wait, but not too many.
    let all = join_all((0..MAX_CALLS + 3).map(|index| {
        let introspection = &introspection;
        async move {
            ask(introspection, &format!("t{index}"))
                .await
                .unwrap_err()
                .message()
                .to_owned()
        }
    }));
    let told = all.await;
    let too_many = told.iter().filter(|text| text.starts_with("too many")).count();
    assert_eq!(too_many, 3);
}

#[tokio::test]
async fn who_shows_no_token_is_not_asked_about() {
    let server = says(active()).await;
    let introspection = by(&server);
    let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
    let none = introspection.authenticate(&AuthRequest::of(&parts)).await;
    assert_eq!(none.unwrap_err().refusal(), Refusal::Missing);
    assert_eq!(refusal(&introspection, "not a token").await, Refusal::Invalid);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn what_cannot_work_is_refused() {
    let server = says(active()).await;
    assert!(
        Introspection::builder(server.uri.clone(), client())
            .build()
            .is_err()
    );
    assert!(builder(&server).bearer("a b").is_err());
    assert!(builder(&server).bearer("abc").unwrap().build().is_ok());
    for uri in ["/introspect", "ftp://id.example/"] {
        let builder = Introspection::builder(uri.parse().unwrap(), client());
        assert!(builder.client_credentials("a", "b").build().is_err(), "{uri}");
    }
}

#[tokio::test]
async fn no_secret_is_printed() {
    let server = TestServer::new(|_| (500, String::new())).await;
    let builder = builder(&server);
    let mut printed = format!("{builder:?}");
    let introspection = builder.build().unwrap();
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let future = introspection.authenticate(&AuthRequest::of(&parts));
    printed.push_str(&format!("{introspection:?} {future:?}"));
    printed.push_str(&format!("{:?}", future.await));
    assert!(
        !printed.contains("hush") && !printed.contains("a-token"),
        "{printed}"
    );
}
