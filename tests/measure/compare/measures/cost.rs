//! What one flavour of the tunnel costs beside another: small GETs through one after the other, in turns of a second.

use super::small::{load, warm_up};
use crate::{
    grid::{Column, Grid, column, figure},
    report::{Bound::AtMost, Report},
    targets::{TUNNEL, TUNNEL_METRICS, Way},
    world::World,
};

const TIME: &str = "CPU µs/request";

const COLUMNS: &[Column] = &[column(TIME, 2), column("requests/s", 0)];

const CONNECTIONS: usize = 50;

/// Nothing, if there is only one flavour. Each has its turn in any few seconds, in which the mood of a machine seldom changes, and alone,
/// so that they do not drive each other out of the processors' caches: differences of a percent are seen, which longer samples do not
/// show.
pub(crate) async fn measure(world: &World, report: &mut Report) {
    let ways = world.ways(|way| way.name.starts_with(TUNNEL));
    if ways.len() < 2 {
        eprintln!("cost: skipped, since there is one flavour: --with, --threads and --before make more");
        return;
    }
    let title = format!(
        "Small GET through {} flavours in turn, {CONNECTIONS} connections",
        ways.len()
    );
    let begun = report.begin(&title);
    let mut grid = Grid::new(COLUMNS);
    warm_up(&ways, CONNECTIONS).await;
    let turns = world.options.rounds * world.options.seconds as usize;
    let sample = async |way: &Way| {
        let (wrk, time) = load(way, CONNECTIONS, 1).await?;
        Ok([time, wrk.per_second])
    };
    world.turns(turns, report, &ways, &mut grid, sample).await;
    let of_first = |way| grid.pairs((way, TIME), (TUNNEL, TIME));
    for way in &ways[1..] {
        let ratio = figure(of_first(&way.name), 3);
        report.remark(format!("{}: {ratio} of the CPU of the first", way.name));
    }
    report.grid(&begun, &grid);
    let ratio = of_first(TUNNEL_METRICS);
    if ratio.is_some() {
        let row = "CPU per small GET with metrics / without";
        report.ratio(row, ratio, AtMost(1.03), AtMost(1.01));
    }
}
