//! What an operator sees when something happens, and does.

use tunnel_tests::live_page::Viewer;

use crate::world::{DIRECTORY, World, log_in};

/// Whether a text stands in an element.
fn has(id: &str, text: &str) -> String {
    format!("document.getElementById('{id}').textContent.includes('{text}')")
}

#[tokio::test]
async fn the_form_takes_the_token_alone() {
    let world = World::new().await;
    let Some(mut viewer) = Viewer::come("login", DIRECTORY.as_ref(), &world.url()).await else {
        return;
    };
    viewer.enter("something-else-than-it").await;
    viewer.until(&has("login-error", "not valid")).await;
    assert_eq!(
        viewer.value("document.getElementById('app').hidden").await,
        "true"
    );
    viewer.value("document.getElementById('token').value = ''").await;
    viewer.enter(crate::world::TOKEN).await;
    viewer.until("!document.getElementById('app').hidden").await;
    // No script can read what the browser shows from now on.
    assert_eq!(viewer.value("document.cookie").await, "");
    viewer.click("#do-logout").await;
    viewer
        .until("document.getElementById('login')?.hidden === false")
        .await;
    viewer.is_content(&["401"]);
}

#[tokio::test]
async fn agents_come_and_go() {
    let mut world = World::new().await;
    let Some(mut viewer) = log_in("agents", &world.url()).await else {
        return;
    };
    viewer.until(&has("ready", "not ready")).await;
    let handles = world.some_agents().await;
    viewer.until(&has("agents-count", "22")).await;
    viewer
        .until("document.getElementById('ready').textContent === 'ready'")
        .await;
    viewer.until(&has("events-table", " has come")).await;
    viewer.pictures("idle").await;

    handles[5].abort();
    handles[21].abort();
    viewer.until(&has("events-table", "web-6 is gone")).await;
    viewer.until(&has("events-table", "billing-3 is gone")).await;
    viewer.until(&has("states", "lost 2")).await;
    viewer.until(&has("agents-count", "20")).await;
    viewer.pictures("lost").await;

    world.agent("web-6", "web").await;
    viewer.until(&has("events-table", "web-6 is back")).await;
    viewer.until(&has("states", "lost 1")).await;
    viewer.is_content(&["401"]);
}

#[tokio::test]
async fn rates_move_and_what_is_open_is_seen() {
    let mut world = World::new().await;
    world.some_agents().await;
    let Some(mut viewer) = log_in("busy", &world.url()).await else {
        return;
    };
    viewer.until(&has("exchanges-table", "Nothing is open")).await;
    world.open_exchange("/api/slow").await;
    world.open_exchange("/billing/slow").await;
    viewer.until(&has("exchanges-count", "2")).await;
    viewer.until("[...document.querySelectorAll('#exchanges-table tr.pick, #exchanges-table tbody tr')].some(row => /waiting.*api.*api-/.test(row.textContent))").await;

    let loads = ["/web", "/web", "/api", "/nowhere"].map(|path| world.load(path));
    let rate = "document.querySelector('#plots .now').firstChild.data";
    viewer.until(&format!("parseFloat({rate}) > 0")).await;
    viewer
        .until("/web.*group:web.*path .web.*[1-9]/.test(document.getElementById('rules-table').textContent)")
        .await;
    // What no rule matches is an error of the tunnel, with its cause.
    viewer.until(&has("errors-table", "no-route")).await;
    viewer.until("Number(document.body.dataset.snapshots) > 12").await;
    viewer.pictures("busy").await;

    for load in loads {
        load.abort();
    }
    viewer.until(&format!("{rate} === '0'")).await;
    world.release.add_permits(2);
    viewer.until(&has("exchanges-table", "Nothing is open")).await;
    viewer.is_content(&["401"]);
}

#[tokio::test]
async fn an_agent_is_drained_and_resumed_by_clicks() {
    let mut world = World::new().await;
    world.some_agents().await;
    let Some(mut viewer) = log_in("drain", &world.url()).await else {
        return;
    };
    viewer.click("#as-table").await;
    viewer.click("#agents-filter").await;
    viewer.browser.write(&viewer.page, "billing-2").await;
    viewer
        .until("document.querySelectorAll('#agents-table tr.pick').length === 1")
        .await;
    viewer.click("#agents-table tr.pick").await;
    viewer.until(&has("detail-body", "Session")).await;
    viewer.click("[data-action=drain]").await;
    viewer.until("document.getElementById('dialog').open").await;
    viewer.pictures("drain").await;
    viewer.confirm().await;
    viewer.until(&has("agents-table", "drained")).await;
    viewer.until(&has("states", "drained 1")).await;
    let drained = world.gateway.agents().drained();
    assert_eq!(drained.len(), 1, "{drained:?}");
    assert_eq!(drained[0].to_string(), "billing-2");

    viewer
        .until("!document.querySelector('[data-action=resume]').disabled")
        .await;
    viewer.click("[data-action=resume]").await;
    viewer.confirm().await;
    viewer
        .until(&format!("!({})", has("agents-table", "drained")))
        .await;
    assert!(world.gateway.agents().drained().is_empty());

    // The dialog that is left by a key does nothing.
    viewer.click("[data-action=disconnect]").await;
    viewer.until("document.activeElement.id === 'dialog-no'").await;
    viewer.browser.press(&viewer.page, "Escape").await;
    viewer.until("!document.getElementById('dialog').open").await;
    assert!(!world.gateway.agents().list().is_empty());
    viewer.is_content(&["401"]);
}

/// Without a mouse: from the map to an agent, and from there to its drain.
#[tokio::test]
async fn the_keyboard_is_enough() {
    let mut world = World::new().await;
    world.some_agents().await;
    let Some(mut viewer) = log_in("keys", &world.url()).await else {
        return;
    };
    viewer.until(&has("agents-count", "22")).await;
    let order = "document.activeElement.matches('#map canvas')";
    while viewer.value(order).await != "true" {
        viewer.browser.press(&viewer.page, "Tab").await;
    }
    for key in ["ArrowRight", "ArrowRight", "ArrowDown"] {
        viewer.browser.press(&viewer.page, key).await;
    }
    viewer
        .until("/^api-[0-9] of api: serves, 0 open/.test(document.getElementById('map-status').textContent)")
        .await;
    viewer.browser.press(&viewer.page, "Enter").await;
    viewer.until(&has("detail-body", "Session")).await;
    let shown = viewer
        .value("document.getElementById('detail-title').textContent")
        .await;
    while viewer.value("document.activeElement.dataset.action ?? ''").await != "drain" {
        viewer.browser.press(&viewer.page, "Tab").await;
    }
    for _ in 0..2 {
        viewer.browser.press(&viewer.page, "Enter").await;
    }
    viewer.until(&has("states", "drained 1")).await;
    assert_eq!(world.gateway.agents().drained()[0].to_string(), shown);
    viewer.is_content(&["401"]);
}
