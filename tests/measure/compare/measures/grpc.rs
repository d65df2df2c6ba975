//! Unary calls of gRPC over 4 connections with 25 streams each.

use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    report::{Bound::AtLeast, Report},
    targets::{DIRECT, NGINX_ONE, NGINX_UNKEPT, Other, Server, TUNNEL, Way},
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
    let unkept = match unkept(world).await {
        Ok(unkept) => unkept,
        Err(error) => {
            report.remark(error);
            None
        }
    };
    let mut ways = world.ways(|_| true);
    ways.extend(&unkept);
    for way in &ways {
        let _ = sample(way).await;
    }
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let row = "gRPC unary, 4 connections x 25 streams / nginx grpc_pass one hop";
    let ratio = grid.pairs((TUNNEL, RATE), (NGINX_ONE, RATE));
    report.ratio(row, ratio, AtLeast(3.0), AtLeast(5.0));
    let ratio = grid.pairs((TUNNEL, RATE), (NGINX_UNKEPT, RATE));
    let row = "gRPC unary, 4 connections x 25 streams / nginx grpc_pass one hop, no keepalive";
    report.ratio(row, ratio, AtLeast(3.0), AtLeast(5.0));
}

/// nginx as it is without a word about keepalive, if nginx is there at all.
async fn unkept(world: &World) -> Result<Option<Way>, Failure> {
    let Some(direct) = world.ways(|way| way.name == DIRECT).pop() else {
        return Ok(None);
    };
    if world.ways(|way| way.name == NGINX_ONE).is_empty() {
        return Ok(None);
    }
    let server = Server {
        plain: direct.plain,
        calls: direct.calls,
    };
    Other::NginxUnkept.start(&world.directory, server).await.map(Some)
}
