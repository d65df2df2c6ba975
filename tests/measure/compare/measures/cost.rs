//! What one flavour of the tunnel costs beside another: small GETs through one after the other, in turns of a second.

use super::small::{load, warm_up};
use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    report::{Bound::AtMost, Report},
    targets::{TUNNEL, TUNNEL_METRICS, Way},
    tools::wrk::Wrk,
    world::World,
};

const TIME: &str = "CPU µs/request";
const RATIO: &str = "of the first";

const COLUMNS: &[Column] = &[column(TIME, 2), column(RATIO, 3), column("requests/s", 0)];

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
    for turn in 0..world.options.rounds * world.options.seconds as usize {
        if let Err(failure) = take_turns(&ways, turn, &mut grid).await {
            report.remark(failure);
        }
    }
    report.grid(&begun, &grid);
    let ratio = grid.median(TUNNEL_METRICS, RATIO);
    if ratio.is_some() {
        let row = "CPU per small GET with metrics / without";
        report.ratio(row, ratio, AtMost(1.03), AtMost(1.01));
    }
}

/// A second of each way, each time beginning with another one.
async fn take_turns(ways: &[&Way], turn: usize, grid: &mut Grid) -> Result<(), Failure> {
    let mut samples: Vec<Option<(Wrk, f64)>> = vec![None; ways.len()];
    for index in 0..ways.len() {
        let at = (turn + index) % ways.len();
        samples[at] = Some(load(ways[at], CONNECTIONS, 1).await?);
    }
    let first = samples[0].map_or(f64::NAN, |(_, time)| time);
    for (way, sample) in ways.iter().zip(samples) {
        match sample {
            Some((wrk, time)) => grid.push(&way.name, &[time, time / first, wrk.per_second]),
            None => grid.push_failure(&way.name),
        }
    }
    Ok(())
}
