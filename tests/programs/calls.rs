//! Programs beside an agent, which ask its gateway.

use axum::{Router, extract::ws::WebSocketUpgrade, routing::get as on_get};
use tunnel_tests::{
    client::Version,
    origin::Origin,
    wait::within_limit,
    websocket::{Frame, echo, handshake, open},
};

use crate::{
    program::{Running, program},
    world::{Files, RunningGateway, agent_file, get},
};

/// What the gateway reaches, and the agent does not.
async fn site() -> Origin {
    let app = Router::new()
        .route(
            "/echo",
            on_get(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
        )
        .fallback(async || "from the gateway's side");
    Origin::http1(app).await
}

#[tokio::test]
async fn what_an_agent_listens_for_goes_where_the_gateways_rules_for_agents_say() {
    let site = site().await;
    let files = Files::new();
    let text = format!(
        "\
listen: 127.0.0.1:0
lame_duck: 1ms
upstreams: {{site: {{url: \"{}\"}}}}
auth:
  default: public
  providers:
    web-agents: {{agents: {{names: [web-agents]}}}}
    others: {{agents: {{names: [others], groups: [db]}}}}
agents:
  listen: 127.0.0.1:0
  tokens: [{{name: web-agents, token_env: TUNNEL_TOKEN, groups: [web]}}]
  calls:
    rules:
      - {{id: not-theirs, path: /secret, upstream: site, auth: others}}
      - {{id: theirs, path: /mine, upstream: site, auth: web-agents}}
      - {{id: own-group, path: /group, group: web}}
      - {{id: echo, path: /echo, upstream: site}}
rules:
  - {{id: web, group: web, auth: public}}
",
        site.uri()
    );
    let file = files.write("gateway.yaml", &text);
    let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
    let own = Origin::http1(Router::new().fallback(async || "from the agent's side")).await;
    let text = agent_file(gateway.agents, &format!("{{url: \"{}\"}}", own.uri())) + "listen: 127.0.0.1:0\n";
    let file = files.write("agent.yaml", &text);
    let mut agent = Running::start(program("agent", &["--config", &file]));
    let ready = agent.line("ready ").await;
    let (_, local) = ready.split_once(" listen=").expect("it listens");
    let local = local.parse().expect("an address");
    within_limit(async {
        assert_eq!(
            get(local, "/mine").await,
            (200, "from the gateway's side".to_owned())
        );
        assert_eq!(
            get(local, "/group").await,
            (200, "from the agent's side".to_owned())
        );
        assert_eq!(get(local, "/secret").await.0, 403);
        assert_eq!(get(local, "/nowhere").await.0, 404);
        assert_eq!(
            get(gateway.listen, "/mine").await,
            (200, "from the agent's side".to_owned())
        );
        for version in [Version::Http1, Version::Http2] {
            let (_, mut socket) = open(version, local, handshake("/echo")).await.upgraded();
            socket.send(&Frame::text("hello")).await;
            assert_eq!(socket.recv().await, Frame::text("hello"), "{version:?}");
            socket.close(1000, "").await;
        }
    })
    .await;
    agent.signal("TERM");
    let ended = within_limit(agent.ended()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
