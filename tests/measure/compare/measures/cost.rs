//! What one flavour of the tunnel costs beside another: small GETs through all of them at the same time.

use futures_util::future::try_join_all;

use super::small::{load, warm_up};
use crate::{
    grid::{Column, Grid, column},
    report::{Bound::AtMost, Report},
    targets::{TUNNEL, TUNNEL_METRICS, Way},
    tools::wrk::Wrk,
    world::World,
};

const TIME: &str = "CPU µs/request";
const RATIO: &str = "of the first";

const COLUMNS: &[Column] = &[column(TIME, 2), column(RATIO, 3), column("requests/s", 0)];

/// Connections of all flavours together.
const CONNECTIONS: usize = 50;

/// Nothing, if there is only one flavour. A machine whose mood changes is in the same mood for all of them here, so that differences of
/// a few percent are seen, which rounds one after the other do not show.
pub(crate) async fn measure(world: &World, report: &mut Report) {
    let ways = world.ways(|way| way.name.starts_with(TUNNEL));
    if ways.len() < 2 {
        eprintln!("cost: skipped, since there is one flavour: --with, --threads and --before make more");
        return;
    }
    let each = CONNECTIONS / ways.len();
    let title = format!(
        "Small GET through {} flavours at once, {each} connections each",
        ways.len()
    );
    let begun = report.begin(&title);
    let mut grid = Grid::new(COLUMNS);
    warm_up(&ways, each).await;
    for _ in 0..world.options.rounds {
        let loads = ways.iter().map(|way| load(way, each, world.options.seconds));
        match try_join_all(loads).await {
            Ok(samples) => push(&mut grid, &ways, &samples),
            Err(failure) => {
                for way in &ways {
                    grid.push_failure(&way.name);
                }
                report.remark(failure);
            }
        }
    }
    report.grid(&begun, &grid);
    let ratio = grid.median(TUNNEL_METRICS, RATIO);
    if ratio.is_some() {
        let row = "CPU per small GET with metrics / without";
        report.ratio(row, ratio, AtMost(1.03), AtMost(1.01));
    }
}

fn push(grid: &mut Grid, ways: &[&Way], samples: &[(Wrk, f64)]) {
    let first = samples[0].1;
    for (way, (wrk, time)) in ways.iter().zip(samples) {
        grid.push(&way.name, &[*time, time / first, wrk.per_second]);
    }
}
