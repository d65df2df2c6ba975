use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, atomic::Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use tokio_test::task;
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{
    Access, Cause, Principal, Routed, Target, TunnelError,
    auth::{SubjectAltName, TlsIdentity},
};

use super::*;
use crate::test_util::{Probe, Scripted, grpc_request, request};

mod combined;
mod expiry;
mod policies;
mod principal;
mod tokens;

const TOKEN: &str = "correct-horse-battery-staple";

fn tokens() -> BearerTokens {
    let token = BearerToken::new("ci", TOKEN).unwrap();
    BearerTokens::new([token.claim(Principal::SCOPE, ["read"])]).unwrap()
}

fn with_token(mut request: Request<Scripted>, token: &str) -> Request<Scripted> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

fn by_rule(mut request: Request<Scripted>, access: Access) -> Request<Scripted> {
    let mut routed = Routed::new("r", Target::Upstream("u".into()));
    routed.access = access;
    request.extensions_mut().insert(routed);
    request
}

type Answer = Response<AuthBody<String>>;

/// Who called, and what the service inside saw of the request.
async fn inside(request: Request<CleanBody<Scripted>>) -> Result<Response<String>, Infallible> {
    let who = request.extensions().get::<Principal>();
    let mut response = Response::new(who.map_or("nobody", Principal::name).to_owned());
    *response.headers_mut() = request.headers().clone();
    Ok(response)
}

async fn ask<A: Authenticator>(layer: &AuthLayer<A>, request: Request<Scripted>) -> Answer {
    let Ok(answer) = layer.layer(service_fn(inside)).oneshot(request).await;
    answer
}

async fn who(answer: Answer) -> String {
    assert_eq!(answer.status(), 200);
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn cause(answer: &Answer) -> Option<Cause> {
    answer.extensions().get().map(TunnelError::cause)
}

fn challenges(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_caller_with_a_token_is_let_in_and_known() {
    let layer = AuthLayer::new(tokens());
    assert_eq!(
        who(ask(&layer, with_token(request("/"), TOKEN)).await).await,
        "ci"
    );
    assert_eq!(
        who(ask(&layer, with_token(grpc_request(), TOKEN)).await).await,
        "ci"
    );
}

#[tokio::test]
async fn others_are_told_what_would_do_and_not_what_was_wrong_with_the_secret() {
    let layer = AuthLayer::new(tokens().realm("my app".parse().unwrap()));
    let answer = ask(&layer, request("/")).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(challenges(answer.headers()), ["Bearer realm=\"my app\""]);

    let answer = ask(&layer, with_token(request("/"), "wrong-horse-battery-staple")).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(
        challenges(answer.headers()),
        ["Bearer realm=\"my app\", error=\"invalid_token\", error_description=\"the token is not valid\""]
    );
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!text.windows(5).any(|bytes| bytes == b"horse"));
}

#[tokio::test]
async fn a_grpc_caller_is_told_in_its_own_way() {
    let layer = AuthLayer::new(tokens());
    let answer = ask(&layer, grpc_request()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &HeaderValue::from(16))
    );
    let layer = AuthLayer::new(Require::new(tokens()).scope("write").unwrap());
    let answer = ask(&layer, with_token(grpc_request(), TOKEN)).await;
    assert_eq!(answer.headers()["grpc-status"], "7");
    let down = auth_fn(async |_| Err(Rejection::unavailable("later")));
    let answer = ask(&AuthLayer::new(down), grpc_request()).await;
    assert_eq!(answer.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn two_authorization_fields_are_malformed() {
    let layer = AuthLayer::new(tokens());
    let mut twice = with_token(request("/"), TOKEN);
    let again = twice.headers()[header::AUTHORIZATION].clone();
    twice.headers_mut().append(header::AUTHORIZATION, again);
    let answer = ask(&layer, twice).await;
    assert_eq!(answer.status(), 400);
    assert!(challenges(answer.headers())[0].contains("error=\"invalid_request\""));
}

#[tokio::test]
async fn the_head_is_judged_as_rules_judge_it() {
    let layer = AuthLayer::new(auth_fn(async |parts: AuthParts| {
        let canonical = parts.canonical.expect("it was admitted");
        Ok(Principal::new(
            format!("{}{}", canonical.host(), canonical.path()),
            "test",
        ))
    }));
    let mut request = request("/a//b;x=1/%63");
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("EXAMPLE.com:80"));
    assert_eq!(who(ask(&layer, request).await).await, "example.com/a/b/c");

    let mut malformed = self::request("/");
    malformed
        .headers_mut()
        .append("host", HeaderValue::from_static("other"));
    assert_eq!(ask(&layer, malformed).await.status(), 400);
}

#[tokio::test]
async fn who_is_not_let_in_takes_no_place_inside() {
    let probe = Probe::new();
    let calls = probe.calls();
    let mut service = AuthLayer::new(tokens()).layer(probe);
    let refused = ServiceExt::<Request<Scripted>>::ready(&mut service)
        .await
        .unwrap();
    assert_eq!(refused.call(request("/")).await.unwrap().status(), 401);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let answer = service.call(with_token(request("/"), TOKEN)).await.unwrap();
    assert_eq!((answer.status().as_u16(), calls.load(Ordering::SeqCst)), (200, 1));
}

#[tokio::test]
async fn dropping_the_call_drops_the_question() {
    let alive = Arc::new(());
    let watch = Arc::downgrade(&alive);
    let slow = auth_fn(move |_| {
        let alive = alive.clone();
        async move {
            let _alive = alive;
            pending().await
        }
    });
    let layer = AuthLayer::new(slow);
    let mut call = task::spawn(layer.layer(service_fn(inside)).oneshot(request("/")));
    assert!(call.poll().is_pending());
    assert_eq!(watch.strong_count(), 2);
    drop(call);
    assert_eq!(watch.strong_count(), 1);
}

#[test]
fn no_secret_is_printed() {
    let token = BearerToken::new("ci", TOKEN).unwrap();
    let layer = AuthLayer::new(BearerTokens::new([token.clone()]).unwrap());
    for text in [
        format!("{token:?}"),
        format!("{layer:?}"),
        format!("{:?}", tokens()),
    ] {
        assert!(!text.contains("horse"), "{text}");
        assert!(!text.contains("sha256"), "{text}");
    }
}
