//! An agent's file.

use tunnel_examples::client::websocket;
use tunnel_tests::wait::within_limit;

use super::{CHANGED, OFTEN, REFUSED, World, echoes, origin};
use crate::world::{TO_WEB, agent_file, get};

#[tokio::test]
async fn an_upstream_is_replaced_and_what_is_open_stays_where_it_is() {
    let mut world = World::new(TO_WEB).await;
    let two = origin("two").await;
    within_limit(async {
        let listen = world.gateway.listen;
        let mut socket = websocket(listen, "/socket").await.unwrap();
        assert!(echoes(&mut socket, "before").await);
        assert_eq!(get(listen, "/").await.1, "one");

        let file = |upstream: &str| agent_file(world.gateway.agents, upstream) + OFTEN;
        world.replace("agent.yaml", &file(&format!("{{url: \"{}\"}}", two.uri())));
        world.agent.logged(CHANGED, 1).await;
        assert_eq!(get(listen, "/").await.1, "two");
        assert!(echoes(&mut socket, "after").await);

        world.replace("agent.yaml", &file("{url: nonsense}"));
        world.agent.logged(REFUSED, 1).await;
        world.agent.logged("agent.yaml:5:", 1).await;
        let other = file(&format!("{{url: \"{}\"}}", two.uri())).replace("web-1", "web-2");
        world.replace("agent.yaml", &other);
        world
            .agent
            .logged("`id` cannot change while the agent runs", 1)
            .await;
        assert_eq!(get(listen, "/").await.1, "two");
        assert!(echoes(&mut socket, "still").await);
    })
    .await;
}
