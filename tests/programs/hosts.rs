//! Agents that bring the hosts which they serve, as files say it.

use axum::{Router, body::Body, routing::get};
use http::{Request, header};
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
};

use crate::{
    program::{Running, TOKEN, program},
    world::{Files, RunningGateway},
};

const GATEWAY: &str = "\
listen: 127.0.0.1:0
auth:
  default: public
  providers:
    keys: {bearer: [{name: edge, token_env: TUNNEL_TOKEN}]}
agents:
  listen: 127.0.0.1:0
  auth:
    policy: keys
    rights:
      - {name: edge, groups: [web], hosts: [www.one.example, \"*.apps.one.example\"]}
rules:
  - {id: customers, registered_hosts: true, group: web}
";

async fn status(gateway: &RunningGateway, host: &str) -> u16 {
    let mut client = Client::connect(Version::Http1, gateway.listen).await;
    let request = Request::get("/").header(header::HOST, host).body(Body::empty());
    let answer = client.send(request.expect("a request")).await.expect("an answer");
    answer.status().as_u16()
}

#[tokio::test]
async fn an_agent_serves_the_hosts_that_it_may() {
    let files = Files::new();
    let file = files.write("gateway.yaml", GATEWAY);
    let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
    let origin = Origin::http1(Router::new().route("/", get(async || "served"))).await;
    files.write("token", &format!("{TOKEN}\n"));
    let agent = |hosts: &str| {
        let (agents, upstream) = (gateway.agents, origin.uri());
        let text = format!(
            "gateway: http://{agents}\nid: edge\ngroups: [web]\nhosts: [{hosts}]\ntoken_file: token\nupstream: {{url: \"{upstream}\"}}\n"
        );
        let file = files.write("agent.yaml", &text);
        Running::start(program("agent", &["--config", &file]))
    };
    let ended = within_limit(agent("www.one.example, www.two.example").ended()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let printed = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        printed.contains("www.two.example") && printed.contains("take it out"),
        "{printed}"
    );
    assert!(!printed.contains(TOKEN), "{printed}");

    let mut served = agent("WWW.one.example, a.apps.one.example");
    served.line("ready ").await;
    within_limit(async {
        for (host, expected) in [
            ("www.one.example", 200),
            ("A.Apps.One.Example:80", 200),
            ("b.apps.one.example", 404),
            ("www.two.example", 404),
        ] {
            assert_eq!(status(&gateway, host).await, expected, "{host}");
        }
    })
    .await;
}
