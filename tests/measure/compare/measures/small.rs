//! Small GETs over connections that are kept.

use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    report::{
        Bound::{AtLeast, AtMost},
        Report,
    },
    targets::{NGINX_ONE, NGINX_TWO, RATHOLE, TUNNEL, Way},
    tools::wrk::{Wrk, wrk},
    world::World,
};

const RATE: &str = "requests/s";
const P99: &str = "p99 µs";
const TIME: &str = "CPU µs/request";

const COLUMNS: &[Column] = &[
    column(RATE, 0),
    column("p50 µs", 0),
    column(P99, 0),
    column(TIME, 2),
    column("peak MiB", 1),
];

/// 50 connections.
pub(crate) async fn fifty(world: &World, report: &mut Report) {
    let grid = measure(world, report, 50).await;
    let rate = |other| grid.pairs((TUNNEL, RATE), (other, RATE));
    let row = "small GET, 50 connections / nginx two hops";
    report.ratio(row, rate(NGINX_TWO), AtLeast(1.0), AtLeast(1.3));
    let row = "small GET, 50 connections / rathole";
    report.ratio(row, rate(RATHOLE), AtLeast(0.9), AtLeast(1.1));
    let row = "small GET, 50 connections / nginx one hop";
    report.ratio(row, rate(NGINX_ONE), AtLeast(0.7), AtLeast(1.0));
    let time = grid.pairs((TUNNEL, TIME), (NGINX_TWO, TIME));
    let row = "CPU per small GET / nginx two hops";
    report.ratio(row, time, AtMost(0.85), AtMost(0.65));
}

/// 256 connections.
pub(crate) async fn many(world: &World, report: &mut Report) {
    let grid = measure(world, report, 256).await;
    let rate = grid.pairs((TUNNEL, RATE), (RATHOLE, RATE));
    let row = "small GET, 256 connections / rathole";
    report.ratio(row, rate, AtLeast(0.9), AtLeast(1.1));
    let p99 = grid.pairs((TUNNEL, P99), (NGINX_TWO, P99));
    let row = "p99 at 256 connections / nginx two hops";
    report.ratio(row, p99, AtMost(1.0), AtMost(0.8));
}

async fn measure(world: &World, report: &mut Report, connections: usize) -> Grid {
    let begun = report.begin(&format!("Small GET, {connections} connections"));
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|_| true);
    warm_up(&ways, connections).await;
    let sample = async |way: &Way| {
        way.forget_peak();
        let (wrk, time) = load(way, connections, world.options.seconds).await?;
        Ok([wrk.per_second, wrk.p50, wrk.p99, time, way.peak()])
    };
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    grid
}

/// Each way has its connections and its memory.
pub(crate) async fn warm_up(ways: &[&Way], connections: usize) {
    for way in ways {
        // What fails here fails in the first round as well, and is told then.
        let _ = wrk(way.plain, connections, 1).await;
    }
}

/// One load, and the microseconds of processor time that each request took in between.
pub(crate) async fn load(way: &Way, connections: usize, seconds: u64) -> Result<(Wrk, f64), Failure> {
    let before = way.processor_time();
    let wrk = wrk(way.plain, connections, seconds).await?;
    let time = way
        .processor_time()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    let each = time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6 / wrk.requests);
    Ok((wrk, each))
}
