//! Small GETs one after the other: what a way adds to the time of each.

use super::small::{load, warm_up};
use crate::{
    grid::{Column, Grid, column},
    report::{Bound::AtMost, Report},
    targets::{DIRECT, RATHOLE, TUNNEL, Way},
    world::World,
};

const P50: &str = "p50 µs";
const ADDED: &str = "added µs";

const SAMPLED: &[Column] = &[column(P50, 0), column("p99 µs", 0), column("CPU µs/request", 1)];
const COLUMNS: &[Column] = &[
    column(ADDED, 0),
    column(P50, 0),
    column("p99 µs", 0),
    column("CPU µs/request", 1),
];

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin("Small GET, one connection");
    let mut sampled = Grid::new(SAMPLED);
    let ways = world.ways(|_| true);
    warm_up(&ways, 1).await;
    let sample = async |way: &Way| {
        let (wrk, time) = load(way, 1, world.options.seconds).await?;
        Ok([wrk.p50, wrk.p99, time])
    };
    world.rounds(report, &ways, &mut sampled, sample).await;
    let mut grid = Grid::new(COLUMNS);
    for way in &ways {
        for round in 0..world.options.rounds {
            let of = |way: &str, column: &Column| sampled.sample(way, column.name, round);
            let figures = [0, 1, 2].map(|index| of(&way.name, &SAMPLED[index]));
            let added = figures[0] - of(DIRECT, &SAMPLED[0]);
            grid.push(&way.name, &[added, figures[0], figures[1], figures[2]]);
        }
    }
    report.grid(&begun, &grid);
    let ratio = grid.pairs((TUNNEL, ADDED), (RATHOLE, ADDED));
    let row = "added p50 at one connection / rathole's added p50";
    report.ratio(row, ratio, AtMost(1.3), AtMost(1.0));
}
