//! Rules that are replaced while they are in use.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderValue, Request, Response, StatusCode};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use tunnel_core::{Routed, Target};

use super::*;
use crate::reject::Direct;

fn request(path: &str) -> Request<String> {
    Request::get(path)
        .header("host", "demo.example")
        .body(String::new())
        .unwrap()
}

fn marked(id: &str, mark: &'static str) -> Rule {
    rule(id).set_response_header("x-mark".parse().unwrap(), HeaderValue::from_static(mark))
}

#[tokio::test]
async fn a_request_keeps_the_rule_that_it_began_with() {
    let gate = Arc::new(AtomicBool::new(false));
    let inside = {
        let gate = gate.clone();
        service_fn(move |request: Request<String>| {
            let gate = gate.clone();
            async move {
                let id = request.extensions().get::<Routed>().unwrap().rule.clone();
                std::future::poll_fn(|_| match gate.load(Ordering::Relaxed) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                })
                .await;
                Ok::<_, Infallible>(Response::new(id.to_string()))
            }
        })
    };
    let layer = RouteLayer::new(rules([marked("old", "before")]));
    let mut service = layer.layer(inside);
    let mut first = task::spawn(service.call(request("/")));
    assert_pending!(first.poll());
    let was = layer.handle().replace(rules([marked("new", "after")]));
    assert_eq!(format!("{was:?}"), r#"["old"]"#);
    gate.store(true, Ordering::Relaxed);
    let Ok(answer) = assert_ready!(first.poll());
    assert_eq!(answer.headers()["x-mark"], "before");
    let Ok(answer) = service.oneshot(request("/")).await;
    assert_eq!(answer.headers()["x-mark"], "after");
    assert_eq!(format!("{:?}", layer.handle()), r#"["new"]"#);
}

#[tokio::test]
async fn rules_for_upstreams_need_a_layer_that_has_some() {
    let to_upstream = || Rules::compile_with_upstreams([Rule::upstream("u", "files")]).unwrap();
    let plain = RouteLayer::new(rules([Rule::direct("d", Direct::new(StatusCode::GONE))]));
    assert_eq!(
        plain.handle().replace_with_upstreams(to_upstream()).err(),
        Some(NoUpstreams)
    );
    assert_eq!(format!("{:?}", plain.handle().rules()), r#"["d"]"#);

    let inside = service_fn(|request: Request<String>| async move {
        let target = request.extensions().get::<Routed>().unwrap().target.clone();
        Ok::<_, Infallible>(Response::new(match target {
            Target::Upstream(name) => name.to_string(),
            Target::Group(group) => group.to_string(),
        }))
    });
    let (layer, _split) = RouteLayer::with_upstreams(Rules::compile_with_upstreams([]).unwrap(), ());
    let service = layer.layer(inside);
    let Ok(answer) = service.clone().oneshot(request("/")).await;
    assert_eq!(answer.status(), 404);
    layer.handle().replace_with_upstreams(to_upstream()).unwrap();
    let Ok(answer) = service.oneshot(request("/")).await;
    assert_eq!(answer.status(), 200);
}
