//! The interface of an agent.

use tunnel_transport::admin::view;

use super::{World, row, well};
use crate::world::{TO_WEB, get};

#[tokio::test]
async fn an_agent_tells_of_its_gateways_and_upstreams() {
    let world = World::new(TO_WEB).await;
    assert_eq!(get(world.gateway.listen, "/").await.0, 200);
    let status = well(world.ask_agent(&["status"]).await);
    for part in [
        "agent web-1,",
        "\nready\n",
        "gateways 1, sessions 1, lanes 1",
        "requests 1,",
        "agent.yaml",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let gateways = well(world.ask_agent(&["gateways"]).await);
    let gateway = format!("http://{}/", world.gateway.agents);
    assert_eq!(row(&gateways, &gateway)[2], "connected", "{gateways}");
    let list: Vec<view::Gateway> =
        serde_json::from_str(&well(world.ask_agent(&["gateways", "--json"]).await)).expect("JSON");
    let there: view::Page<view::Agent> = world.json(&["agents"]).await;
    let here = list[0].session.as_ref().expect("it is connected");
    assert_eq!(
        here.id, there.items[0].sessions[0].id,
        "both ends name the session alike"
    );
    assert_eq!(world.ask_agent(&["ready"]).await.code, Some(0));
    assert_eq!(world.ask_agent(&["log"]).await.stdout, "info\n");
    assert!(well(world.ask_agent(&["reload"]).await).starts_with("same: "));

    let upstreams = well(world.ask_agent(&["upstreams"]).await);
    assert_eq!(
        row(&upstreams, "default")[1..3],
        [&*world.site.origin.uri(), "ok"],
        "{upstreams}"
    );
    well(world.ask_agent(&["drain-endpoint", "default"]).await);
    assert_eq!(
        row(&well(world.ask_agent(&["upstreams"]).await), "default")[2],
        "drained"
    );
    assert_eq!(get(world.gateway.listen, "/").await.0, 503);
    well(world.ask_agent(&["resume-endpoint", "default"]).await);
    assert_eq!(get(world.gateway.listen, "/").await.0, 200);
}

#[tokio::test]
async fn an_agent_without_its_gateway_is_not_ready_and_says_why() {
    let world = World::new(TO_WEB).await;
    world.gateway.program.signal("KILL");
    let ended = loop {
        let ended = world.ask_agent(&["ready"]).await;
        if ended.code == Some(1) && ended.stdout.contains("cannot") {
            break ended;
        }
    };
    assert!(
        ended.stdout.contains(&world.gateway.agents.to_string()),
        "{ended:?}"
    );
    assert_eq!(world.ask_agent(&["live"]).await.code, Some(0));
    let gateways = well(world.ask_agent(&["gateways"]).await);
    assert!(
        ["waiting", "connecting"].contains(&row(&gateways, &format!("http://{}/", world.gateway.agents))[2]),
        "{gateways}"
    );
    // What only a gateway has.
    assert_eq!(world.ask_agent(&["agents"]).await.code, Some(2));
}
