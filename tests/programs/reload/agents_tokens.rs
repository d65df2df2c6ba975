//! Tokens of agents that are taken back.

use tunnel_tests::wait::within_limit;

use super::{CHANGED, OFTEN, agent_of, origin};
use crate::{
    program::TOKEN,
    world::{Files, RunningGateway, gateway_file, get},
};

#[tokio::test]
async fn a_token_that_is_taken_back_ends_its_session() {
    let files = Files::new();
    let origin = origin("one").await;
    files.write("token", TOKEN);
    let rules = "  - {id: web, group: web}\n";
    let text = gateway_file(rules).replace("token_env: TUNNEL_TOKEN", "token_file: token") + OFTEN;
    let file = files.write("gateway.yaml", &text);
    within_limit(async {
        let mut gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let mut agent = agent_of(&files, &gateway, &origin).await;
        assert_eq!(get(gateway.listen, "/").await.0, 200);

        // Other rules leave it alone.
        files.write("gateway.yaml", &text.replace("{id: web,", "{id: web2,"));
        gateway.program.logged(CHANGED, 1).await;
        assert_eq!(get(gateway.listen, "/").await.0, 200);

        super::replace(&files, "token", "another-token-that-nobody-has-yet");
        gateway.program.logged(CHANGED, 2).await;
        agent
            .logged("the agent's token is not valid at this gateway", 1)
            .await;
        assert_eq!(get(gateway.listen, "/").await.0, 503);
    })
    .await;
}

#[tokio::test]
async fn a_group_that_a_token_may_no_longer_serve_ends_its_session() {
    let files = Files::new();
    let origin = origin("one").await;
    let rules = "  - {id: web, group: web}\n";
    let text = gateway_file(rules) + OFTEN;
    let file = files.write("gateway.yaml", &text);
    within_limit(async {
        let mut gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let mut agent = agent_of(&files, &gateway, &origin).await;
        let text = text
            .replace("groups: [web]", "groups: [api]")
            .replace("group: web", "group: api");
        super::replace(&files, "gateway.yaml", &text);
        gateway.program.logged(CHANGED, 1).await;
        agent
            .logged("no longer allow what the agent has registered", 1)
            .await;
        assert_eq!(get(gateway.listen, "/").await.0, 503);
    })
    .await;
}
