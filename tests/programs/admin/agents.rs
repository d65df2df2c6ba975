//! Agents that are drained, and disconnected.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tunnel_tests::wait::within_limit;
use tunnel_transport::admin::view;

use super::World;
use crate::world::{TO_WEB, get};

#[tokio::test]
async fn an_agent_that_is_drained_finishes_and_gets_nothing_new() {
    let world = World::new(TO_WEB).await;
    let slow = world.slow().await;
    let done: view::Done = world.json(&["drain", "web-1"]).await;
    assert_eq!((done.changed, done.sessions, done.in_flight), (true, 1, 1));
    assert!(world.told(&["drain", "web-1"]).await.contains("no news"));
    assert_eq!(get(world.gateway.listen, "/").await.0, 503);
    let ready = world.ask(&["ready"]).await;
    assert_eq!(ready.code, Some(1), "{ready:?}");
    assert!(
        ready.stdout.contains("not ready\n  no agent of the group `web`"),
        "{ready:?}"
    );
    assert_eq!(super::row(&world.told(&["agents"]).await, "web-1")[1], "drained");
    world.site.release.add_permits(1);
    let answer = within_limit(slow).await.expect("no panic").expect("an answer");
    assert_eq!(
        answer.into_body().collect().await.expect("a body").to_bytes(),
        "slow"
    );
    assert_eq!(get(world.gateway.listen, "/").await.0, 503);
    let done: view::Done = world.json(&["resume", "web-1"]).await;
    assert!(done.changed);
    assert_eq!(get(world.gateway.listen, "/").await.0, 200);
    let log = world.gateway.program.log();
    assert!(
        log.contains("an action of the admin interface") && log.contains("bearer of the token"),
        "{log}"
    );
    let nobody = world.ask(&["drain", "web-2"]).await;
    assert!(
        nobody.code == Some(1) && nobody.stderr.contains("`web-2`"),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn what_takes_too_long_is_cut_unless_the_agent_is_resumed() {
    let world = World::new(TO_WEB).await;
    let slow = world.slow().await;
    world.told(&["drain", "web-1", "--within", "1h"]).await;
    world.told(&["resume", "web-1"]).await;
    world.told(&["drain", "web-1", "--within", "1ms"]).await;
    let cut = within_limit(slow).await.expect("no panic");
    assert!(cut.is_err() || cut.is_ok_and(|answer| answer.status().is_server_error()));
    world.told(&["resume", "web-1"]).await;
    world.until(&["ready"], |ended| ended.code == Some(0)).await;

    let slow = world.slow().await;
    world.told(&["drain", "web-1", "--within", "500ms"]).await;
    world.told(&["resume", "web-1"]).await;
    let mut slow = slow;
    assert!(
        timeout(Duration::from_millis(1_200), &mut slow).await.is_err(),
        "it was not cut"
    );
    world.site.release.add_permits(1);
    assert!(within_limit(slow).await.expect("no panic").is_ok());
}

#[tokio::test]
async fn an_agent_that_is_disconnected_comes_back() {
    let world = World::new(TO_WEB).await;
    let session = || async {
        let page: view::Page<view::Agent> = world.json(&["agents"]).await;
        page.items
            .first()
            .and_then(|agent| agent.sessions.first().map(|session| session.id.clone()))
    };
    let before = session().await.expect("it is connected");
    let slow = world.slow().await;
    let done: view::Done = world.json(&["disconnect", "web-1"]).await;
    assert_eq!((done.changed, done.sessions, done.in_flight), (true, 1, 1));
    let cut = within_limit(slow).await.expect("no panic");
    assert!(cut.is_err() || cut.is_ok_and(|answer| answer.status().is_server_error()));
    world.until(&["ready"], |ended| ended.code == Some(0)).await;
    assert_eq!(get(world.gateway.listen, "/").await.0, 200);
    let after = session().await.expect("it is connected again");
    assert_ne!(before, after);
}
