//! What commands print.

use tunnel_tests::wait::within_limit;
use tunnel_transport::admin::view;

use super::{World, row, well};
use crate::world::{TO_WEB, get};

#[tokio::test]
async fn people_read_tables_and_tools_json() {
    let rules = format!(
        "  - {{id: fixed, path: {{exact: /fixed}}, respond: {{status: 204}}}}\n  - {{id: own, path: /own, upstream: own}}\n{TO_WEB}{}",
        "upstreams:\n  own: {url: \"http://127.0.0.1:1\"}\nmetrics: {}\n"
    );
    let world = World::new(&rules).await;
    for (path, status) in [("/", 200), ("/a", 200), ("/fixed", 204), ("/own/x", 502)] {
        assert_eq!(get(world.gateway.listen, path).await.0, status, "{path}");
    }
    let slow = world.slow().await;

    let status = world.told(&["status"]).await;
    for part in [
        "gateway ",
        "\nready\n",
        "agents 1, sessions 1, lanes 1",
        "open exchanges 1,",
        "requests 5,",
        "gateway.yaml",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let agents = world.told(&["agents"]).await;
    let agent = row(&agents, "web-1");
    assert_eq!(
        (agent[1], agent[2], agent.last().copied()),
        ("ok", "web", Some("web-agents")),
        "{agents}"
    );
    let groups = world.told(&["groups"]).await;
    assert_eq!(row(&groups, "web")[1..4], ["1", "1", "1"], "{groups}");
    let rules = world.told(&["rules"]).await;
    let hits = |id: &str| row(&rules, id)[5].to_owned();
    assert_eq!(
        (hits("web"), hits("fixed"), hits("own")),
        ("3".into(), "1".into(), "1".into()),
        "{rules}"
    );
    assert_eq!(row(&rules, "fixed")[2..5], ["/fixed", "direct", "yes"], "{rules}");
    let exchanges = world.told(&["exchanges"]).await;
    let exchange = exchanges.lines().nth(1).expect(&exchanges);
    for word in ["waiting", "http", "web", "web-1"] {
        assert!(
            exchange.split_whitespace().any(|found| found == word),
            "{word}: {exchanges}"
        );
    }
    let page: view::Page<view::Exchange> = world
        .json(&["exchanges", "--agent", "web-1", "--rule", "web"])
        .await;
    assert_eq!(
        (page.total, page.items[0].request_ended, page.items[0].from_agent),
        (1, true, false)
    );
    let none: view::Page<view::Exchange> = world.json(&["exchanges", "--rule", "fixed"]).await;
    assert_eq!(none.total, 0);
    let there = well(world.ask_agent(&["exchanges"]).await);
    assert!(
        there.contains(&page.items[0].id),
        "both ends name it alike: {there}"
    );
    let upstreams = world.told(&["upstreams"]).await;
    assert_eq!(row(&upstreams, "own")[1], "http://127.0.0.1:1", "{upstreams}");
    let metrics = world.told(&["metrics"]).await;
    assert!(
        metrics.contains("# TYPE tunnel_exchanges_total counter"),
        "{metrics}"
    );
    assert!(world.told(&["config"]).await.contains("gateway.yaml"));
    let overview: view::Overview = world.json(&["status"]).await;
    assert_eq!(
        (
            overview.counts.exchanges,
            overview.counts.rules,
            overview.role.as_str()
        ),
        (1, 3, "gateway")
    );
    let own = overview
        .traffic
        .iter()
        .find(|row| row.rule == "own")
        .expect("it was followed");
    assert_eq!(
        (own.target.as_str(), own.statuses.get("5xx")),
        ("upstream:own", Some(&1))
    );

    world.site.release.add_permits(1);
    let answer = within_limit(slow).await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_pipe_that_closes_is_no_failure() {
    let world = World::new(TO_WEB).await;
    let admin = world.gateway.admin.expect("the file has it");
    let built = super::knowing("gateway", &[]);
    let program = built.as_std().get_program().to_str().expect("a path").to_owned();
    let script = format!(
        "{program} --admin http://{admin} --token-env TUNNEL_ADMIN_TOKEN metrics; {program} --admin http://{admin} \
                          --token-env TUNNEL_ADMIN_TOKEN agents | head -c 1"
    );
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", &script])
        .env("TUNNEL_ADMIN_TOKEN", super::ADMIN_TOKEN);
    let output = within_limit(command.output()).await.expect("there is a shell");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.contains("no metrics") && !stderr.contains("panic"),
        "{stderr}"
    );
}
