//! Rules for hosts that agents registered.

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tunnel_core::{Cause, GroupName, Routed, TunnelError, agents::Hosts};

use super::*;
use crate::test_util::Scripted;

/// Each host's group.
#[derive(Clone, Debug)]
struct Known(&'static [(&'static str, &'static str)]);

impl Hosts for Known {
    fn has_host(&self, group: &GroupName, host: &str) -> bool {
        self.0
            .iter()
            .any(|(of, known)| *of == group.as_str() && *known == host)
    }
}

const KNOWN: Known = Known(&[("app", "a.example"), ("app", "b.example"), ("other", "c.example")]);

fn request(host: &str) -> Request<Scripted> {
    let request = Request::get("/path").header("host", host);
    request.body(Scripted::default()).unwrap()
}

/// The rule that a host's request matches, and whether only agents with the host serve it; or why there is none.
async fn asked(layer: &RouteLayer, host: &str) -> Result<(String, bool), Option<Cause>> {
    let inner = service_fn(|request: Request<Scripted>| async move {
        let mut response = Response::new(Scripted::default());
        let routed = request.extensions().get::<Routed>().expect("routed");
        response.extensions_mut().insert(routed.clone());
        Ok::<_, std::convert::Infallible>(response)
    });
    let answer = layer.layer(inner).oneshot(request(host)).await.unwrap();
    match answer.extensions().get::<Routed>() {
        Some(routed) => Ok((routed.rule.to_string(), routed.registered_host)),
        None => Err(answer.extensions().get().map(TunnelError::cause)),
    }
}

fn found(rule: &str, by_host: bool) -> Result<(String, bool), Option<Cause>> {
    Ok((rule.to_owned(), by_host))
}

fn app(id: &str) -> Rule {
    Rule::group(id, "app".parse().unwrap())
}

#[tokio::test]
async fn a_rule_is_for_the_hosts_that_agents_of_its_group_registered() {
    let layer = RouteLayer::new(rules([app("agents").registered_hosts()])).hosts(KNOWN);
    for host in ["a.example", "B.Example.:8080"] {
        assert_eq!(asked(&layer, host).await, found("agents", true), "{host}");
    }
    for host in ["c.example", "x.a.example", "example"] {
        assert_eq!(asked(&layer, host).await, Err(Some(Cause::NoRoute)), "{host}");
    }
}

#[tokio::test]
async fn other_matchers_hold_as_well_and_other_rules_get_the_rest() {
    let own = app("own")
        .registered_hosts()
        .host("*.example")
        .path_prefix("/path");
    let elsewhere = app("elsewhere").registered_hosts().path_prefix("/other");
    let layer = RouteLayer::new(rules([own, elsewhere, app("rest")])).hosts(KNOWN);
    assert_eq!(asked(&layer, "a.example").await, found("own", true));
    assert_eq!(asked(&layer, "c.example").await, found("rest", false));
    assert_eq!(asked(&layer, "d.other").await, found("rest", false));
}

#[tokio::test]
async fn what_cannot_work_is_said() {
    let layer = RouteLayer::new(rules([app("agents").registered_hosts()]));
    assert_eq!(asked(&layer, "a.example").await, Err(Some(Cause::Internal)));
    let upstream = Rule::upstream("u", "name").registered_hosts();
    let error = Rules::compile_with_upstreams([upstream]).unwrap_err().to_string();
    assert!(
        error.contains("registered_hosts") && error.contains("a group"),
        "{error}"
    );
}
