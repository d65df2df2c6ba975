//! Small GETs beside others who take much, or take nothing.

use std::time::Duration;

use tokio::time::sleep;

use super::small::warm_up;
use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    readers,
    report::{Bound::AtMost, Report},
    targets::{DIRECT, NGINX_TWO, TUNNEL, Way},
    tools::{curl, wrk::wrk},
    world::World,
};

/// Those of the small GETs.
const CONNECTIONS: usize = 8;

const P50: &str = "p50 µs";
const RATIO: &str = "p99 / alone";

/// Beside a download that takes as much as it gets.
pub(crate) async fn bulk(world: &World, report: &mut Report) {
    const COLUMNS: &[Column] = &[
        column(P50, 0),
        column("p99 µs", 0),
        column("requests/s", 0),
        column("bulk MiB/s", 0),
        column("alone p50 µs", 0),
        column("alone p99 µs", 0),
    ];
    let begun = report.begin(&format!(
        "Small GET, {CONNECTIONS} connections, beside one bulk download"
    ));
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|_| true);
    warm_up(&ways, CONNECTIONS).await;
    let seconds = world.options.seconds;
    let sample = async |way: &Way| {
        let alone = wrk(way.plain, CONNECTIONS, seconds).await?;
        // The download flows when the others begin, and until they have ended.
        let download = curl::download_for(way.plain, seconds as f64 + 0.5);
        let others = async {
            sleep(Duration::from_millis(400)).await;
            wrk(way.plain, CONNECTIONS, seconds).await
        };
        let (download, beside) = tokio::join!(download, others);
        let (download, beside) = (download?, beside?);
        world.settle(way).await;
        let bulk = download.mib_per_second();
        Ok([
            beside.p50,
            beside.p99,
            beside.per_second,
            bulk,
            alone.p50,
            alone.p99,
        ])
    };
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let row = "small GET p50 beside one bulk download / nginx two hops";
    let ratio = grid.pairs((TUNNEL, P50), (NGINX_TWO, P50));
    report.ratio(row, ratio, AtMost(1.2), AtMost(0.7));
}

/// Beside 50 who have asked for 1 GiB each, and do not read it.
pub(crate) async fn stalled(world: &World, report: &mut Report) {
    const COLUMNS: &[Column] = &[
        column(RATIO, 2),
        column("p99 µs", 0),
        column("alone p99 µs", 0),
        column(P50, 0),
        column("alone p50 µs", 0),
    ];
    let title = format!("Small GET, {CONNECTIONS} connections, beside 50 stalled readers of 1 GiB");
    let begun = report.begin(&title);
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|way| way.name != DIRECT);
    warm_up(&ways, CONNECTIONS).await;
    let seconds = world.options.seconds;
    let sample = async |way: &Way| -> Result<_, Failure> {
        let alone = wrk(way.plain, CONNECTIONS, seconds).await?;
        let readers = readers::stopped(way.plain, &format!("/bench/bytes/{}", 1 << 30), 50).await?;
        world.settle(way).await;
        let beside = wrk(way.plain, CONNECTIONS, seconds).await?;
        drop(readers);
        world.settle(way).await;
        Ok([
            beside.p99 / alone.p99,
            beside.p99,
            alone.p99,
            beside.p50,
            alone.p50,
        ])
    };
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let row = "small GET p99 beside 50 stalled 1 GiB readers / alone";
    report.ratio(row, grid.median(TUNNEL, RATIO), AtMost(1.3), AtMost(1.1));
}
