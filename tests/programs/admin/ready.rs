//! Readiness, as agents come and go and the gateway leaves.

use tunnel_tests::wait::within_limit;

use super::{ADMIN, Site, World, knowing};
use crate::world::{Files, RunningGateway, TO_WEB, gateway_file, get};

#[tokio::test]
async fn a_gateway_is_ready_while_an_agent_is_there_and_it_stays() {
    let (files, site) = (Files::new(), Site::new().await);
    let text = gateway_file(TO_WEB).replace("lame_duck: 1ms", "lame_duck: 1h") + ADMIN;
    let file = files.write("gateway.yaml", &text);
    let gateway = RunningGateway::of(knowing("gateway", &["--config", &file])).await;
    let admin = gateway.admin.expect("the file has it");
    assert_eq!(get(admin, "/livez").await.0, 200);
    assert_eq!(
        get(admin, "/readyz").await,
        (503, "{\"ready\":false,\"reasons\":[]}".to_owned())
    );
    let (agent, agent_admin) = World::agent(&files, &gateway, &site).await;
    assert_eq!(
        get(admin, "/readyz").await,
        (200, "{\"ready\":true,\"reasons\":[]}".to_owned())
    );
    let world = World {
        files,
        gateway,
        agent,
        agent_admin,
        site,
    };
    world.agent.signal("TERM");
    world.until(&["ready"], |ended| ended.code == Some(1)).await;
    let _agent = World::agent(&world.files, &world.gateway, &world.site).await;
    world.until(&["ready"], |ended| ended.code == Some(0)).await;

    world.gateway.program.signal("TERM");
    let ended = world.until(&["ready"], |ended| ended.code == Some(1)).await;
    assert!(ended.stdout.contains("the gateway is stopping"), "{ended:?}");
    assert_eq!(world.ask(&["live"]).await.code, Some(0));
    assert!(world.told(&["status"]).await.contains("\nleaving\n"));
    assert_eq!(get(world.gateway.listen, "/").await.0, 200, "it still serves");
    world.gateway.program.signal("TERM");
    let ended = within_limit(world.gateway.program.ended()).await;
    assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
}
