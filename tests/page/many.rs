//! A thousand agents.

use std::time::Duration;

use futures_util::future::join_all;
use tunnel_tests::wait::within_limit;

use crate::world::{GROUPS, World, log_in};

const AGENTS: usize = 1_000;
/// So many dial at a time.
const BATCH: usize = 50;

/// So many events are measured.
const EVENTS: u32 = 8;
/// What all work of the page for one of them may take, scripts, layout and drawing together: three frames of the screen in a second of
/// sixty.
const FRAMES: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_agents_are_seen_without_long_frames() {
    if std::env::var_os("CHROMIUM").is_none() {
        println!("many: skipped, since CHROMIUM does not name chromium (.ci/page installs it)");
        return;
    }
    let mut world = World::new().await;
    let mut leave = Vec::new();
    for batch in 0..AGENTS / BATCH {
        let begun: Vec<_> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|number| {
                let group = GROUPS[usize::from(number % 10 >= 6) + usize::from(number % 10 == 9)];
                world.begin(&format!("{group}-{number}"), group)
            })
            .collect();
        within_limit(join_all(begun.iter().map(|(agent, _)| agent.connected()))).await;
        leave.extend(begun.into_iter().map(|(_, handle)| handle));
    }
    let Some(mut viewer) = log_in("many", &world.url()).await else {
        return;
    };
    viewer
        .until("document.getElementById('agents-count').textContent === '1,000'")
        .await;
    viewer
        .until("/ok 1,000/.test(document.getElementById('states').textContent)")
        .await;
    let _load = world.load("/web");
    leave[17].abort();
    viewer
        .until("/lost 1/.test(document.getElementById('states').textContent)")
        .await;
    viewer.pictures("many").await;

    // All of them are rows, and few of them are in the document.
    viewer.click("#as-table").await;
    viewer
        .until("document.querySelectorAll('#agents-table tr.pick').length > 5")
        .await;
    let rows = viewer
        .value("document.querySelector('#agents-table table').getAttribute('aria-rowcount')")
        .await;
    assert_eq!(rows, "1001");
    viewer
        .value("document.getElementById('agents-table').scrollTop = 12_000")
        .await;
    viewer
        .until("[...document.querySelectorAll('#agents-table tr.pick')].some(row => row.ariaRowIndex > 460)")
        .await;
    let there: usize = viewer
        .value("document.querySelectorAll('tr').length")
        .await
        .parse()
        .expect("a number");
    assert!(there < 200, "{there}");
    viewer
        .value("document.querySelector('#agents-table thead button').click()")
        .await;
    viewer.click("#agents-filter").await;
    viewer.browser.write(&viewer.page, "billing-99").await;
    viewer
        .until("document.querySelectorAll('#agents-table tr.pick').length === 2")
        .await;
    viewer.click("#as-map").await;
    viewer
        .value("document.getElementById('agents-filter').value = ''")
        .await;

    // What the page's thread does for an event, without the time that others have the processor.
    let before = viewer.browser.busy(&viewer.page).await;
    let seen: u32 = viewer
        .value("document.body.dataset.snapshots")
        .await
        .parse()
        .expect("a number");
    viewer
        .until(&format!("document.body.dataset.snapshots >= {}", seen + EVENTS))
        .await;
    let cost = (viewer.browser.busy(&viewer.page).await - before) / EVENTS;
    println!("an event with {AGENTS} agents costs the page {cost:?}");
    assert!(cost < FRAMES, "{cost:?}");
    viewer.is_content(&["401"]);
}
