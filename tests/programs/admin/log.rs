//! The filter of the log, while a program runs.

use super::World;
use crate::world::TO_WEB;

#[tokio::test]
async fn the_log_says_more_or_nothing_from_now_on() {
    let mut world = World::new(TO_WEB).await;
    assert_eq!(world.told(&["log"]).await, "info\n");
    assert!(!world.gateway.program.log().contains("DEBUG"));
    assert_eq!(
        world.told(&["log", "info,tunnel_transport=debug"]).await,
        "info,tunnel_transport=debug\n"
    );
    world.told(&["disconnect", "web-1"]).await;
    world.until(&["ready"], |ended| ended.code == Some(0)).await;
    world.gateway.program.logged("DEBUG", 1).await;
    assert_eq!(world.told(&["log", "off"]).await, "off\n");
    let before = world.gateway.program.log();
    world.told(&["drain", "web-1"]).await;
    world.told(&["resume", "web-1"]).await;
    assert_eq!(world.told(&["log", "info"]).await, "info\n");
    world.told(&["drain", "web-1"]).await;
    world
        .gateway
        .program
        .logged("path=\"/api/agents/web-1/drain\"", 1)
        .await;
    let after = world.gateway.program.log();
    assert!(!after[before.len()..].contains("resume"), "{after}");
    for wrong in ["verbose", "tunnel_transport=loud", ""] {
        let ended = world.ask(&["log", wrong]).await;
        assert!(
            ended.code == Some(1) && ended.stderr.contains("is no filter of the log"),
            "{ended:?}"
        );
    }
    assert_eq!(world.told(&["log"]).await, "info\n");
}
