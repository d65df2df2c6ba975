//! Calls of services that agents registered.

use std::convert::Infallible;

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tunnel_core::{GroupName, Routed, Target, agents::Services};

use super::*;
use crate::test_util::{Probe, Scripted, assert_send, assert_shareable, grpc_request, ready};

#[derive(Clone, Debug)]
struct One(String);

impl Services for One {
    fn group_of(&self, service: &str) -> Option<GroupName> {
        (service == self.0).then(|| "registered".parse().unwrap())
    }
}

/// Where such a request is sent; `None` if nothing matches.
async fn routed(rules: Rules, services: One, request: Request<Scripted>) -> Option<Routed> {
    let inner = service_fn(|request: Request<Scripted>| async move {
        let mut response = Response::new(Scripted::default());
        let routed = request.extensions().get::<Routed>().expect("routed");
        response.extensions_mut().insert(routed.clone());
        Ok::<_, Infallible>(response)
    });
    let service = RouteLayer::new(rules).services(services).layer(inner);
    let answer = service.oneshot(request).await.unwrap();
    answer.extensions().get().cloned()
}

fn service() -> One {
    One("pkg.Service".to_owned())
}

#[tokio::test]
async fn a_call_that_no_rule_matches_goes_to_the_services_group() {
    let found = routed(rules([]), service(), grpc_request()).await;
    let target = Target::Group("registered".parse().unwrap());
    let expected = Routed::new("service:pkg.Service", target);
    assert_eq!(found, Some(expected));
}

#[tokio::test]
async fn a_rule_comes_first() {
    let rules = rules([rule("r").grpc_service("pkg.Service")]);
    let found = routed(rules, service(), grpc_request()).await.unwrap();
    assert_eq!(
        (&*found.rule, found.target.clone()),
        ("r", Target::Group(group()))
    );
}

#[tokio::test]
async fn other_services_and_plain_requests_are_misses() {
    let other = One("pkg.Other".to_owned());
    assert_eq!(routed(rules([]), other, grpc_request()).await, None);
    let mut plain = grpc_request();
    plain.headers_mut().remove("content-type");
    assert_eq!(routed(rules([]), service(), plain).await, None);
}

#[tokio::test]
async fn a_long_name_makes_no_longer_label_than_a_rule_may_have() {
    let name = "a".repeat(1_000);
    let mut request = grpc_request();
    *request.uri_mut() = format!("/{name}/Get").parse().unwrap();
    let found = routed(rules([]), One(name), request).await.unwrap();
    assert_eq!(found.rule.len(), MAX_ID_BYTES);
}

#[tokio::test]
async fn a_registered_service_is_called_only_when_ready() {
    use tower::Service as _;

    let layer = RouteLayer::new(rules([])).services(service()).or(Probe::new());
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    let future = ready(&mut service).await.call(grpc_request());
    assert_send(&future);
    assert_eq!(future.await.unwrap().status(), 200);
}
