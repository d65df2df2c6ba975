use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::auth::test_server::{TestServer, client};

fn remote(server: &TestServer) -> Jwt {
    Jwt::remote(server.uri.clone(), client())
        .unwrap()
        .algorithm(Algorithm::RS256)
        .algorithm(Algorithm::ES256)
        .issuer(ISSUER)
        .audience("api")
        .build()
        .unwrap()
}

/// The set with only some of its keys.
fn set(names: &[&str]) -> String {
    let all: Value = serde_json::from_str(JWKS).unwrap();
    let keys = all["keys"].as_array().unwrap().iter();
    let some: Vec<_> = keys
        .filter(|key| names.contains(&key["kid"].as_str().unwrap()))
        .collect();
    json!({ "keys": some }).to_string()
}

fn token(kid: &str) -> String {
    let header = |algorithm: &str| json!({"alg": algorithm, "kid": kid}).to_string();
    match kid {
        "ec" => raw(&header("ES256"), &claims().to_string(), &ec(), Algorithm::ES256),
        _ => raw(&header("RS256"), &claims().to_string(), &rsa(), Algorithm::RS256),
    }
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_are_asked_for_once_however_many_wait() {
    let server = TestServer::new(|request| {
        assert_eq!(
            (request.method().as_str(), request.uri().path()),
            ("GET", "/path")
        );
        (200, JWKS.to_owned())
    })
    .await;
    let jwt = remote(&server);
    let tokens = [token("rsa"), token("ec"), token("rsa")];
    let all = join_all(tokens.iter().map(|token| why(&jwt, token))).await;
    assert_eq!(all, ["taken as alice"; 3]);
    assert_eq!(why(&jwt, &token("ec")).await, "taken as alice");
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_but_not_too_often() {
    let server = TestServer::new(|_| (200, set(&["rsa"]))).await;
    let jwt = remote(&server);
    assert_eq!(why(&jwt, &token("rsa")).await, "taken as alice");
    server.set(|_| (200, set(&["rsa", "ec"])));
    let unknown = "the token was made by a key that is not known";
    for _ in 0..3 {
        assert_eq!(why(&jwt, &token("ec")).await, unknown);
    }
    assert_eq!(server.calls(), 1);
    pass(MIN_REFRESH_INTERVAL).await;
    assert_eq!(why(&jwt, &token("ec")).await, "taken as alice");
    assert_eq!(server.calls(), 2);
    pass(MIN_REFRESH_INTERVAL).await;
    for kid in ["nobody", "nothing"] {
        assert_eq!(why(&jwt, &token(kid)).await, unknown);
    }
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn keys_that_the_issuer_takes_back_go() {
    let server = TestServer::new(|_| (200, set(&["rsa", "ec"]))).await;
    let jwt = remote(&server);
    assert_eq!(why(&jwt, &token("rsa")).await, "taken as alice");
    server.called().await;
    server.set(|_| (200, set(&["ec"])));
    pass(REFRESH_AFTER).await;
    // Nobody waits for the new ones while the old ones serve.
    assert_eq!(why(&jwt, &token("rsa")).await, "taken as alice");
    server.called().await;
    while why(&jwt, &token("rsa")).await == "taken as alice" {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.calls(), 2);
    assert_eq!(why(&jwt, &token("ec")).await, "taken as alice");
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_nobody_is_told_to_go() {
    for (status, body) in [(500, JWKS), (302, JWKS), (200, "<html>"), (200, "{\"keys\":[]}")] {
        let server = TestServer::new(move |_| (status, body.to_owned())).await;
        let jwt = remote(&server);
        for _ in 0..2 {
            let rejection = ask(&jwt, &token("rsa")).await.unwrap_err();
            assert_eq!(rejection.refusal(), Refusal::Unavailable, "{status} {body}");
        }
        assert_eq!(server.calls(), 1);
        server.set(|_| (200, JWKS.to_owned()));
        pass(MIN_REFRESH_INTERVAL).await;
        assert_eq!(why(&jwt, &token("rsa")).await, "taken as alice");
    }
}

#[tokio::test]
async fn an_issuer_that_nobody_reaches_or_says_too_much_is_out_of_reach() {
    let server = TestServer::new(|_| (200, " ".repeat(300_000))).await;
    let jwt = remote(&server);
    assert_eq!(
        ask(&jwt, &token("rsa")).await.unwrap_err().refusal(),
        Refusal::Unavailable
    );

    let gone = TestServer::new(|_| (200, JWKS.to_owned())).await;
    let jwt = remote(&gone);
    drop(gone);
    assert_eq!(
        ask(&jwt, &token("rsa")).await.unwrap_err().refusal(),
        Refusal::Unavailable
    );
}

#[tokio::test]
async fn old_keys_serve_for_a_day_and_no_longer() {
    let server = TestServer::new(|_| (200, JWKS.to_owned())).await;
    let jwt = remote(&server);
    assert_eq!(why(&jwt, &token("rsa")).await, "taken as alice");
    server.set(|_| (500, String::new()));
    pass(MAX_AGE - Duration::from_secs(60)).await;
    assert_eq!(why(&jwt, &token("rsa")).await, "taken as alice");
    pass(Duration::from_secs(60)).await;
    let rejection = ask(&jwt, &token("rsa")).await.unwrap_err();
    assert_eq!(rejection.refusal(), Refusal::Unavailable);
}

#[tokio::test]
async fn nothing_is_asked_before_the_future_is_polled_or_for_nothing() {
    let server = TestServer::new(|_| (200, JWKS.to_owned())).await;
    let jwt = remote(&server);
    let (parts, ()) = Request::get("/")
        .header(header::AUTHORIZATION, format!("Bearer {}", token("rsa")))
        .body(())
        .unwrap()
        .into_parts();
    drop(jwt.authenticate(&AuthRequest::of(&parts)));
    let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
    let none = jwt.authenticate(&AuthRequest::of(&parts)).await;
    assert_eq!(none.unwrap_err().refusal(), Refusal::Missing);
    tokio::task::yield_now().await;
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn what_cannot_be_a_url_is_refused() {
    for uri in ["/keys", "ftp://example.com/keys", "example.com:443"] {
        assert!(Jwt::remote(uri.parse().unwrap(), client()).is_err(), "{uri}");
    }
}
