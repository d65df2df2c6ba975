//! When the first byte of an answer comes, and when one that the server flushes comes.

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::time::{Instant, sleep};

use crate::{
    grid::{Column, Grid, column, median},
    process::Failure,
    raw::Raw,
    report::{Bound::AtMost, Goal, Report},
    targets::{TUNNEL, Way},
    upstream::{STAMP, nanoseconds},
    world::World,
};

/// Requests of one sample, and stamps.
const TIMES: usize = 20;

const RATIO: &str = "64 MiB / 1 KiB";
const LATEST: &str = "flushed byte, latest ms";

const COLUMNS: &[Column] = &[
    column(RATIO, 2),
    column("1 KiB, µs", 0),
    column("64 MiB, µs", 0),
    column("flushed byte, p50 ms", 2),
    column(LATEST, 2),
];

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin("Time to the first byte");
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|_| true);
    let sample = async |way: &Way| sample(world, way).await;
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let row = "time to the first byte, 64 MiB / 1 KiB";
    report.goal(Goal {
        what: row,
        value: grid.median(TUNNEL, RATIO),
        unit: "",
        least: AtMost(1.5),
        aim: None,
    });
    report.goal(Goal {
        what: "a flushed byte is at the client",
        value: grid.median(TUNNEL, LATEST),
        unit: " ms",
        least: AtMost(20.0),
        aim: None,
    });
}

async fn sample(world: &World, way: &Way) -> Result<[f64; 5], Failure> {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        small.push(first_byte(way, 1 << 10).await?);
        large.push(first_byte(way, 64 << 20).await?);
        // What was on its way to the client that has left takes a moment.
        sleep(Duration::from_millis(20)).await;
    }
    world.settle(way).await;
    let mut delays = stamps(way).await.map_err(|error| error.to_string())?;
    delays.sort_by(f64::total_cmp);
    let latest = delays.last().copied().unwrap_or(f64::NAN);
    let value = |values| median(values).unwrap_or(f64::NAN);
    let (small, large) = (value(small), value(large));
    Ok([large / small, small, large, value(delays), latest])
}

/// The microseconds from the request to the first byte of the body, on a connection that is open already.
async fn first_byte(way: &Way, bytes: u64) -> Result<f64, Failure> {
    let measure = async {
        let mut raw = Raw::connect_narrow(way.plain).await?;
        // rathole makes a connection only when something comes.
        raw.get("/bench/small").await?;
        raw.first_byte().await?;
        while raw.buffer.len() < b"Hello, World!".len() {
            raw.more().await?;
        }
        raw.buffer.clear();
        let begun = Instant::now();
        raw.get(&format!("/bench/begun/{bytes}")).await?;
        raw.first_byte().await?;
        io::Result::Ok(begun.elapsed().as_secs_f64() * 1e6)
    };
    measure.await.map_err(|error| error.to_string())
}

/// The milliseconds that each of some stamps took.
async fn stamps(way: &Way) -> io::Result<Vec<f64>> {
    let mut raw = Raw::connect(way.plain).await?;
    raw.get(&format!("/bench/stamps/{TIMES}")).await?;
    raw.first_byte().await?;
    let mut delays = Vec::with_capacity(TIMES);
    loop {
        let now = nanoseconds();
        while let Some(written) = take_stamp(&mut raw.buffer) {
            delays.push(now.saturating_sub(written) as f64 / 1e6);
        }
        if delays.len() == TIMES {
            return Ok(delays);
        }
        raw.more().await?;
    }
}

/// Takes the next stamp, and what stands in front of it: the length of its chunk. No other line is as long as a stamp.
fn take_stamp(buffer: &mut BytesMut) -> Option<u128> {
    while let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
        let line = buffer.split_to(end + 2);
        let line = std::str::from_utf8(&line[..end]).unwrap_or_default();
        if line.len() == STAMP {
            return line.parse().ok();
        }
    }
    None
}
