//! How agents share requests, and what is sent again, as files say it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Router,
    body::Body,
    routing::{any, get},
};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
};

use crate::{
    program::{Running, program},
    world::{Files, RunningGateway},
};

const GATEWAY: &str = "\
listen: 127.0.0.1:0
agents: {listen: 127.0.0.1:0, open: true}
balance: {policy: round-robin, zone: near}
rules:
  - id: keyed
    path: /keyed
    group: web
    balance: {policy: consistent-hash, hash: {cookie: sid}, zone: nowhere}
  - id: retried
    path: /retried
    group: web
    retry: {attempts: 2, statuses: [503]}
  - id: refused
    path: /refused
    group: web
  - id: all
    group: web
";

/// An upstream that says its name; the one of the name `near` cannot do everything.
async fn origin(name: &'static str) -> Origin {
    let some = any(async move || {
        let can = name != "near";
        (
            if can {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            },
            name,
        )
    });
    let app = Router::new()
        .route("/retried", some.clone())
        .route("/refused", some);
    Origin::http1(app.fallback(get(async move || name))).await
}

async fn agent(files: &Files, gateway: &RunningGateway, name: &str, origin: &Origin) -> Running {
    let (agents, upstream) = (gateway.agents, origin.uri());
    let text = format!(
        "gateway: http://{agents}\nid: {name}\nzone: {name}\ngroups: [web]\nupstream: {{url: \"{upstream}\"}}\n"
    );
    let file = files.write(&format!("{name}.yaml"), &text);
    let mut agent = Running::start(program("agent", &["--config", &file]));
    agent.line("ready ").await;
    agent
}

async fn ask(gateway: &RunningGateway, method: Method, path: &str, cookie: &str) -> (u16, String) {
    let mut client = Client::connect(Version::Http1, gateway.listen).await;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).expect("a request");
    let answer = client.send(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("a text"))
}

#[tokio::test]
async fn a_gateway_balances_and_retries_as_its_file_says() {
    let files = Files::new();
    let file = files.write("gateway.yaml", GATEWAY);
    let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
    let (near, far) = (origin("near").await, origin("far").await);
    let _near = agent(&files, &gateway, "near", &near).await;
    let _far = agent(&files, &gateway, "far", &far).await;
    within_limit(async {
        let answer = |status, name: &str| (status, name.to_owned());
        for _ in 0..6 {
            assert_eq!(ask(&gateway, Method::GET, "/", "").await, answer(200, "near"));
        }
        // The answer of the first agent is worth another attempt, but not where nobody said so, nor for what may not run twice.
        for _ in 0..3 {
            assert_eq!(
                ask(&gateway, Method::GET, "/retried", "").await,
                answer(200, "far")
            );
            assert_eq!(
                ask(&gateway, Method::POST, "/retried", "").await,
                answer(503, "near")
            );
            assert_eq!(
                ask(&gateway, Method::GET, "/refused", "").await,
                answer(503, "near")
            );
        }
        let mut places = BTreeMap::new();
        for turn in 0..60 {
            let (_, name) = ask(&gateway, Method::GET, "/keyed", &format!("sid={}", turn % 20)).await;
            let place = places.entry(turn % 20).or_insert_with(|| name.clone());
            assert_eq!(*place, name, "sid {}", turn % 20);
        }
        assert_eq!(places.values().collect::<BTreeSet<_>>().len(), 2);
    })
    .await;
}
