//! The lines of both sides join.

use std::collections::HashMap;

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http::Request;
use serde_json::Value;
use tunnel_layers::route::Rule;
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    tunnel::group,
    wait::{eventually, within_limit},
    websocket::{self, Frame, handshake},
};
use tunnel_transport::Upstream;

use crate::{
    app::{Stuck, app},
    world::{AGENT, Plan, World, call, exchange, get, post, rules},
};

const EXCHANGES: usize = 1_000;

/// What the kinds of exchanges are, by turns.
const KINDS: [&str; 10] = [
    "ok", "echo", "fail", "broken", "stuck", "ws", "say", "wrong", "none", "upstream",
];

/// One exchange of the kind whose turn it is.
async fn one(n: usize, mut client: Client, world: &World, stuck: &Stuck) {
    let path = move |kind: &str| format!("/app/{kind}/{n}");
    let whole = async |client: &mut Client, request: Request<Body>| exchange(client, request).await;
    match KINDS[n % KINDS.len()] {
        "ws" => {
            let opened = websocket::open(Version::Http1, world.addr, handshake(&path("ws"))).await;
            let (_, mut peer) = opened.upgraded();
            peer.send(&Frame::text("hello")).await;
            peer.recv().await;
            peer.close(1000, "").await;
            peer.finish().await;
        }
        "stuck" => {
            let path = path("stuck");
            let request = get(&path);
            let call = tokio::spawn(async move { exchange(&mut client, request).await });
            eventually(|| stuck.has(&path)).await;
            call.abort();
            let _ = call.await;
        }
        "say" => assert!(
            whole(&mut client, call("/pkg.Greeter/Say", "12345"))
                .await
                .is_some()
        ),
        "wrong" => assert!(
            whole(&mut client, call("/pkg.Greeter/Fail", "12345"))
                .await
                .is_some()
        ),
        "none" => assert!(whole(&mut client, get(&format!("/none/{n}"))).await.is_some()),
        "echo" => assert!(whole(&mut client, post(&path("echo"), "ping")).await.is_some()),
        "broken" => assert_eq!(whole(&mut client, get(&path("broken"))).await, None),
        "upstream" => {
            let request = get(&format!("/files/app/ok/{n}"));
            assert!(whole(&mut client, request).await.is_some());
        }
        kind => assert!(whole(&mut client, get(&path(kind))).await.is_some()),
    }
}

fn by_id(lines: &[Value]) -> HashMap<String, &Value> {
    let joined: HashMap<_, _> = lines
        .iter()
        .filter_map(|line| Some((line["request_id"].as_str()?.to_owned(), line)))
        .collect();
    joined
}

#[tokio::test]
async fn a_thousand_mixed_exchanges_join_on_their_ids() {
    within_limit(async {
        let stuck = Stuck::default();
        let origin = Origin::http1(app(Stuck::default())).await;
        let mut all = rules();
        let files = Rule::group("files", group("files")).path_prefix("/files");
        all.push(files.strip_prefix().public());
        let plan = Plan {
            rules: all,
            ..Plan::default()
        };
        let mut world = World::with_app(plan, app(stuck.clone())).await;
        let upstream = Upstream::http1(origin.uri()).unwrap();
        world.run(world.agent_of("files", "files-1"), upstream).await;
        let client = world.client().await;

        stream::iter(0..EXCHANGES)
            .map(|n| one(n, client.share(), &world, &stuck))
            .buffer_unordered(8)
            .collect::<()>()
            .await;
        let unrouted = EXCHANGES / KINDS.len();
        world.told(EXCHANGES, EXCHANGES - unrouted).await;

        let (gateway, agent) = (world.gateway_lines.all(), world.agent_lines.all());
        let (at_gateway, at_agent) = (by_id(&gateway), by_id(&agent));
        assert_eq!(
            at_gateway.len(),
            EXCHANGES - unrouted,
            "each has an id of its own"
        );
        assert_eq!(at_agent.len(), EXCHANGES - unrouted);
        let mut kinds: HashMap<(String, String), usize> = HashMap::new();
        for (id, near) in &at_gateway {
            let far = at_agent
                .get(id)
                .unwrap_or_else(|| panic!("only one side has {near}"));
            for field in ["trace_id", "method", "protocol", "status", "grpc_status", "agent"] {
                assert_eq!(near[field], far[field], "{field}\n{near}\n{far}");
            }
            assert!(near["trace_id"].is_string());
            let path = near["path"].as_str().unwrap().trim_start_matches("/files");
            assert_eq!(path, far["path"].as_str().unwrap());
            if near["protocol"] != "websocket" && near["cause"].is_null() {
                assert_eq!(
                    (&near["bytes_in"], &near["bytes_out"]),
                    (&far["bytes_in"], &far["bytes_out"]),
                    "{near}\n{far}"
                );
            }
            assert_eq!(near["cause"].is_null(), far["cause"].is_null(), "{near}\n{far}");
            let cause = near["cause"].as_str().unwrap_or_default().to_owned();
            *kinds
                .entry((near["protocol"].as_str().unwrap().to_owned(), cause))
                .or_default() += 1;
        }
        let each = EXCHANGES / KINDS.len();
        let count = |protocol: &str, cause: &str| {
            let key = (protocol.to_owned(), cause.to_owned());
            kinds.get(&key).copied().unwrap_or_default()
        };
        assert_eq!(count("http", ""), 4 * each, "{kinds:?}");
        assert_eq!(count("http", "canceled"), each, "{kinds:?}");
        assert_eq!(count("http", "upstream"), each, "{kinds:?}");
        assert_eq!(count("websocket", ""), each, "{kinds:?}");
        assert_eq!(count("grpc", ""), 2 * each, "{kinds:?}");

        // What never went into the tunnel is told by the gateway alone.
        let refused = gateway.iter().filter(|line| line["request_id"].is_null());
        let causes: Vec<_> = refused.map(|line| line["cause"].clone()).collect();
        assert_eq!(causes, vec![Value::from("no-route"); unrouted]);
        let of_files = agent.iter().filter(|line| line["agent"] == "files-1");
        for line in of_files.clone() {
            assert_eq!(line["endpoint"], origin.uri(), "{line}");
        }
        assert_eq!(of_files.count(), each);
        assert!(gateway.iter().all(|line| line["peer"].is_string()));
        let names: std::collections::HashSet<_> = gateway.iter().map(|line| line["agent"].clone()).collect();
        assert!(names.contains(&Value::from(AGENT)) && names.contains(&Value::from("files-1")));
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_lost_is_the_cause_at_the_gateway() {
    within_limit(async {
        let stuck = Stuck::default();
        let mut world = World::new(Plan::default()).await;
        let agent = world.agent(AGENT);
        let agent = world.run(agent, app(stuck.clone())).await;
        let mut client = world.client().await;
        let pending = tokio::spawn(async move { exchange(&mut client, get("/app/stuck/x")).await });
        eventually(|| stuck.count() == 1).await;
        let lost = tunnel_core::TunnelError::new(
            tunnel_core::Cause::AgentLost,
            tunnel_core::Initiator::Peer,
            "the test ends it",
        );
        agent.connected().await.close(&lost);
        let (status, _) = pending.await.unwrap().unwrap();
        assert_eq!(status, 502);
        world.told(1, 1).await;
        let near = world.gateway_lines.all().remove(0);
        let far = world.agent_lines.all().remove(0);
        assert_eq!(
            (&near["cause"], &near["status"]),
            (&"agent-lost".into(), &502.into())
        );
        assert_eq!(near["request_id"], far["request_id"]);
        assert!(far["status"].is_null());
    })
    .await;
}
