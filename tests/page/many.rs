//! A thousand agents.

use futures_util::future::join_all;
use tunnel_tests::wait::within_limit;

use crate::world::{GROUPS, Viewer, World};

const AGENTS: usize = 1_000;
/// So many dial at a time.
const BATCH: usize = 50;

/// A frame of the screen, in milliseconds: what an event may cost.
const FRAME: f64 = 16.7;

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
    let Some(mut viewer) = Viewer::log_in("many", &world.url()).await else {
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

    let seen = viewer.value("document.body.dataset.snapshots").await;
    viewer
        .until(&format!("document.body.dataset.snapshots > {seen} + 8"))
        .await;
    let costs =
        "JSON.stringify(performance.getEntriesByName('snapshot').slice(-16).map(one => one.duration))";
    let mut costs: Vec<f64> = serde_json::from_str(&viewer.value(costs).await).expect("numbers");
    costs.sort_by(f64::total_cmp);
    let half = costs[costs.len() / 2];
    println!(
        "an event with {AGENTS} agents costs the page {half:.1} ms, at most {:.1} ms",
        costs[costs.len() - 1]
    );
    // The middle one: the machine does something else as well.
    assert!(half < FRAME, "{costs:?}");
    viewer.is_content();
}
