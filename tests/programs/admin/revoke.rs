//! Tokens that are taken back by their names.

use axum::body::Body;
use http::Request;
use tunnel_tests::{
    client::{Client, Version},
    wait::within_limit,
};
use tunnel_transport::admin::view;

use super::{ADMIN, Site, World, knowing};
use crate::{
    program::{Running, TOKEN},
    world::{Files, RunningGateway, TO_WEB, agent_file, gateway_file, get},
};

const OTHER: &str = "another-token-for-the-same-agents";

#[tokio::test]
async fn the_sessions_of_a_token_end_and_it_stays_out_until_it_is_another_one() {
    let (files, site) = (Files::new(), Site::new().await);
    files.write("token", TOKEN);
    let text = gateway_file(TO_WEB).replace("token_env: TUNNEL_TOKEN", "token_file: token") + ADMIN;
    let file = files.write("gateway.yaml", &text);
    let gateway = RunningGateway::of(knowing("gateway", &["--config", &file])).await;
    let (agent, agent_admin) = World::agent(&files, &gateway, &site).await;
    let mut world = World {
        files,
        gateway,
        agent,
        agent_admin,
        site,
    };
    assert_eq!(get(world.gateway.listen, "/").await.0, 200);
    let done: view::Done = world.json(&["revoke", "web-agents"]).await;
    assert_eq!((done.changed, done.sessions), (true, 1));
    world
        .agent
        .logged("the agent's credentials were revoked", 1)
        .await;
    world.until(&["ready"], |ended| ended.code == Some(1)).await;
    assert_eq!(get(world.gateway.listen, "/").await.0, 503);

    // A reload for another reason lets nobody in.
    world.files.write(
        "gateway.yaml",
        &text
            .replace("{id: web", "{id: web2")
            .replace("id: web\n", "id: web2\n"),
    );
    world
        .gateway
        .program
        .logged("the configuration has changed", 1)
        .await;
    let file = world.files.path("agent.yaml");
    let ended = within_limit(Running::start(knowing("agent", &["--config", &file])).ended()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("were revoked"), "{ended:?}");
    assert!(world.told(&["config"]).await.contains("revoked: web-agents"));

    // Another token with this name does.
    world.files.write("token", OTHER);
    world
        .gateway
        .program
        .logged("the configuration has changed", 2)
        .await;
    assert!(!world.told(&["config"]).await.contains("revoked"));
    let file = agent_file(world.gateway.agents, &world.site.upstream()).replace("id: web-1", "id: web-2");
    let file = world.files.write("agent2.yaml", &file);
    let mut command = knowing("agent", &["--config", &file]);
    command.env("TUNNEL_TOKEN", OTHER);
    let mut second = Running::start(command);
    second.line("ready ").await;
    assert_eq!(get(world.gateway.listen, "/").await.0, 200);
}

#[tokio::test]
async fn callers_lose_their_token() {
    let auth = format!(
        "{TO_WEB}auth:
  default: callers
  providers:
    callers:
      bearer:
        - {{name: shop, token: {OTHER}}}
        - {{name: till, token: {OTHER}-2}}
"
    );
    let world = World::new(&auth).await;
    let status = |token: &'static str| {
        let listen = world.gateway.listen;
        async move {
            let mut client = Client::connect(Version::Http1, listen).await;
            let request = Request::get("/").header("authorization", format!("Bearer {token}"));
            let answer = client.send(request.body(Body::empty()).expect("a request")).await;
            answer.expect("an answer").status().as_u16()
        }
    };
    let (shop, till) = (OTHER, "another-token-for-the-same-agents-2");
    assert_eq!((status(shop).await, status(till).await), (200, 200));
    assert!(world.told(&["revoke", "shop"]).await.contains("callers"));
    assert_eq!((status(shop).await, status(till).await), (401, 200));
    // With other rules it is still out.
    let new = gateway_file(&auth.replace("id: web", "id: other")) + ADMIN;
    world.files.write("gateway.yaml", &new);
    world.told(&["reload"]).await;
    assert_eq!((status(shop).await, status(till).await), (401, 200));
    let wrong = world.ask(&["revoke", "shpo"]).await;
    assert!(
        wrong.code == Some(1) && wrong.stderr.contains("`shop`, `till`, `web-agents`"),
        "{wrong:?}"
    );
}
