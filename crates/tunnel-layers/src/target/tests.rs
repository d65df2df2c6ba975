use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, Method, Request, Response, Version, header};
use tower::{Layer, Service, ServiceExt, service_fn};
use tunnel_core::{Canonical, GroupName, Routed, Target};

use super::*;
use crate::test_util::{Probe, Scripted, assert_send, assert_shareable, grpc, ready};

fn group() -> GroupName {
    "billing".parse().unwrap()
}

/// What the wrapped service saw.
#[derive(Clone)]
struct Seen {
    uri: String,
    headers: HeaderMap,
    routed: Routed,
    host: String,
}

async fn send(layer: TargetLayer, request: Request<Scripted>) -> Response<()> {
    let service = layer.layer(service_fn(|request: Request<Scripted>| async move {
        let extensions = request.extensions();
        let seen = Seen {
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
            routed: extensions.get::<Routed>().expect("routed").clone(),
            host: extensions.get::<Canonical>().expect("admitted").host().to_owned(),
        };
        let mut response = Response::new(Scripted::default());
        response.extensions_mut().insert(seen);
        Ok::<_, Infallible>(response)
    }));
    service.oneshot(request).await.unwrap().map(|_| ())
}

async fn seen(layer: TargetLayer, request: Request<Scripted>) -> Seen {
    let answer = send(layer, request).await;
    answer.extensions().get::<Seen>().expect("called").clone()
}

/// As a generated client makes it, with this origin.
fn call(origin: &str) -> Request<Scripted> {
    Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("{origin}/pkg.Service/Method"))
        .header(header::CONTENT_TYPE, grpc())
        .header(header::TE, "trailers")
        .body(Scripted::default())
        .unwrap()
}

#[tokio::test]
async fn every_request_goes_to_the_group() {
    let layer = TargetLayer::group(group());
    let routed = seen(layer.clone(), call("")).await.routed;
    assert_eq!((&*routed.rule, routed.timeouts.whole), ("billing", None));
    assert_eq!(routed.access, tunnel_core::Access::Default);
    assert_eq!(routed.target, Target::Group(group()));

    let layer = layer.rule("invoices").timeout(Duration::from_secs(3));
    let routed = seen(layer, call("")).await.routed;
    assert_eq!(
        (&*routed.rule, routed.timeouts.whole),
        ("invoices", Some(Duration::from_secs(3).into()))
    );
}

#[tokio::test]
async fn a_request_without_a_host_gets_the_groups_name() {
    let layer = TargetLayer::group(group());
    for (origin, host) in [
        ("", "billing"),
        ("http://billing", "billing"),
        ("http://other:81", "other"),
    ] {
        let seen = seen(layer.clone(), call(origin)).await;
        assert_eq!(seen.host, host);
        assert!(seen.uri.starts_with(&format!("http://{host}")), "{}", seen.uri);
        assert!(seen.uri.ends_with("/pkg.Service/Method"));
        assert_eq!(seen.headers[header::TE], "trailers");
    }
    let named = Request::builder()
        .uri("/x")
        .header("host", "named")
        .body(Scripted::default());
    assert_eq!(seen(layer.clone(), named.unwrap()).await.uri, "http://named/x");
    // HTTP/1.1, where the host of the target is not enough for others.
    let absolute = Request::builder().uri("http://other/x").body(Scripted::default());
    assert_eq!(seen(layer, absolute.unwrap()).await.host, "other");
}

#[tokio::test]
async fn a_name_that_no_host_has_does_no_harm() {
    for name in [".", "..", ".a", "a.", "a..b"] {
        let seen = seen(TargetLayer::group(name.parse().unwrap()), call("")).await;
        assert_eq!(seen.host, "localhost", "{name}");
        assert_eq!(seen.routed.target, Target::Group(name.parse().unwrap()));
    }
    let upper = TargetLayer::group("Billing_EU-1".parse().unwrap());
    assert_eq!(seen(upper, call("")).await.host, "billing_eu-1");
}

#[tokio::test]
async fn what_admission_refuses_is_answered_here() {
    let mut trace = call("");
    *trace.method_mut() = Method::TRACE;
    let answer = send(TargetLayer::group(group()), trace).await;
    assert_eq!(answer.headers()["grpc-status"], "12");
    assert!(answer.extensions().get::<Seen>().is_none());
}

#[tokio::test]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = TargetLayer::group(group());
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for _ in 0..2 {
        let future = ready(&mut service).await.call(call(""));
        assert_send(&future);
        assert_eq!(future.await.unwrap().status(), 200);
    }
}
