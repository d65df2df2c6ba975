//! Unary calls of gRPC over 4 connections with 25 streams each.

use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    report::{Bound::AtLeast, Report},
    targets::{NGINX_ONE, TUNNEL, Way},
    tools::h2load::h2load,
    world::World,
};

const RATE: &str = "calls/s";

const COLUMNS: &[Column] = &[column(RATE, 0), column("mean µs", 0), column("CPU µs/call", 2)];

/// The bytes of a message. Before it stand its flag and its length.
const MESSAGE: u8 = 61;

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin("gRPC unary calls, 4 connections with 25 streams");
    let path = world.directory.join("message");
    let mut message = vec![0, 0, 0, 0, MESSAGE];
    message.extend([b'm'; MESSAGE as usize]);
    if let Err(error) = std::fs::write(&path, message) {
        return report.remark(format!("{}: {error}", path.display()));
    }
    let sample = async |way: &Way| -> Result<[f64; 3], Failure> {
        let before = way.processor_time();
        let calls = h2load(way.calls, &path, world.options.seconds).await?;
        let time = way
            .processor_time()
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        let each = time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6 / calls.done);
        Ok([calls.per_second, calls.mean, each])
    };
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|_| true);
    for way in &ways {
        let _ = sample(way).await;
    }
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let row = "gRPC unary, 4 connections x 25 streams / nginx grpc_pass one hop";
    let ratio = grid.pairs((TUNNEL, RATE), (NGINX_ONE, RATE));
    report.ratio(row, ratio, AtLeast(3.0), AtLeast(5.0));
}
