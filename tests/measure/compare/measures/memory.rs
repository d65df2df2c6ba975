//! What processes hold in memory, each time freshly started ones.

use std::{fs::File, time::Duration};

use tokio::time::timeout;

use super::memory_steps::{Fresh, added, idle, peak};
use crate::{
    process::Failure,
    readers,
    report::{Bound::AtMost, Goal, Report},
    table::Table,
    targets::{NGINX_TWO, RATHOLE, TUNNEL, Way},
    tools::{curl, wrk::wrk},
    world::World,
};

/// What an exchange may hold of a body that nobody reads, in MiB.
const CREDIT: f64 = tunnel_core::flow::DEFAULT_INITIAL_CREDIT as f64 / (1 << 20) as f64;

const READERS: usize = 50;

/// The longest that one step may take.
const LONGEST: Duration = Duration::from_secs(120);

const MIB: &str = " MiB";

/// Figures of the processes of a way, by the way's name.
type Row = (String, Vec<(String, f64)>);

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin("Memory of each process, in MiB");
    let mut table = Table::new(["", "process", "what", "MiB"]);
    let fresh = Fresh::all(world, &[RATHOLE, NGINX_TWO]);
    let ours = Fresh::all(world, &[]);
    let file = world.directory.join("upload");
    let bytes = world.options.bulk();
    if let Err(error) = File::create(&file).and_then(|file| file.set_len(bytes)) {
        report.remark(format!("{}: {error}", file.display()));
    }
    let seconds = world.options.seconds;

    let rows = steps(world, report, &fresh, async |fresh| idle(world, fresh).await).await;
    tell(report, &mut table, "idle", &rows, "memory, idle", 15.0);
    let load = async |way: &Way| wrk(way.plain, 256, seconds).await;
    let rows = steps(world, report, &fresh, async |fresh| {
        peak(world, fresh, &load).await
    })
    .await;
    tell(
        report,
        &mut table,
        "peak, 256 connections of small GETs",
        &rows,
        "memory, 256 connections of small requests",
        32.0,
    );
    let load = async |way: &Way| curl::download(way.plain, bytes).await;
    let rows = steps(world, report, &fresh, async |fresh| {
        added(world, fresh, &load).await
    })
    .await;
    tell(
        report,
        &mut table,
        "added by a download of 1 GiB",
        &rows,
        "memory, added by a download of 1 GiB",
        8.0,
    );
    let load = async |way: &Way| curl::upload(way.plain, &file, bytes).await;
    let rows = steps(world, report, &fresh, async |fresh| {
        added(world, fresh, &load).await
    })
    .await;
    tell(
        report,
        &mut table,
        "added by an upload of 1 GiB",
        &rows,
        "memory, added by an upload of 1 GiB",
        8.0,
    );

    let most = READERS as f64 * CREDIT + 16.0;
    let path = format!("/bench/bytes/{}", 1 << 30);
    let load = async |way: &Way| readers::stopped(way.plain, &path, READERS).await;
    let rows = steps(world, report, &ours, async |fresh| {
        peak(world, fresh, &load).await
    })
    .await;
    tell(
        report,
        &mut table,
        "peak, 50 stalled readers",
        &rows,
        "memory, 50 stalled readers",
        most,
    );
    let load = async |way: &Way| readers::stopped(way.plain, "/bench/drip", READERS).await;
    let rows = steps(world, report, &ours, async |fresh| {
        peak(world, fresh, &load).await
    })
    .await;
    tell(
        report,
        &mut table,
        "peak, 50 stalled readers of single bytes",
        &rows,
        "memory, 50 stalled readers of single bytes",
        most,
    );
    report.table(&begun, &table);
}

/// What 10,000 exchanges cost that have begun, and go on without a byte.
pub(crate) async fn exchanges(world: &World, report: &mut Report) {
    let exchanges = if world.options.quick { 1_000 } else { 10_000 };
    let begun = report.begin(&format!("Memory of {exchanges} idle exchanges"));
    let mut table = Table::new(["", "process", "clients and upstream", "MiB", "KiB for each"]);
    let ours = Fresh::all(world, &[]);
    let http1 = async |way: &Way| readers::stopped(way.plain, "/bench/first", exchanges).await;
    let http2 = async |way: &Way| readers::stopped_http2(way.calls, "/bench.Hold/First", exchanges).await;
    let with_connections = steps(world, report, &ours, async |fresh| {
        added(world, fresh, &http1).await
    })
    .await;
    let streams = steps(world, report, &ours, async |fresh| {
        added(world, fresh, &http2).await
    })
    .await;
    for (what, rows) in [
        ("HTTP/1.1, a connection for each", with_connections),
        ("HTTP/2, 100 on each connection", streams),
    ] {
        for (way, processes) in rows {
            for (process, mib) in processes {
                let each = mib * 1024.0 / exchanges as f64;
                let (mib, each) = (format!("{mib:.1}"), format!("{each:.2}"));
                table.row(vec![way.clone(), process, what.to_owned(), mib, each]);
            }
        }
    }
    report.table(&begun, &table);
}

async fn steps(
    world: &World,
    report: &mut Report,
    fresh: &[Fresh],
    step: impl AsyncFn(&Fresh) -> Result<Vec<(String, f64)>, Failure>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for fresh in fresh {
        let step = timeout(LONGEST, step(fresh)).await;
        match step.unwrap_or_else(|_| Err("a step took too long".to_owned())) {
            Ok(figures) => rows.push((fresh.name(world), figures)),
            Err(failure) => report.remark(format!("{}: {failure}", fresh.name(world))),
        }
    }
    rows
}

/// Puts figures into the table, and the larger one of gateway and agent beside what is to be reached.
fn tell(report: &mut Report, table: &mut Table, what: &str, rows: &[Row], goal: &'static str, most: f64) {
    for (way, processes) in rows {
        for (process, mib) in processes {
            table.row(vec![
                way.clone(),
                process.clone(),
                what.to_owned(),
                format!("{mib:.1}"),
            ]);
        }
    }
    let ours = rows.iter().find(|(way, _)| way == TUNNEL);
    let largest = ours.and_then(|(_, processes)| processes.iter().map(|(_, mib)| *mib).reduce(f64::max));
    report.goal(Goal {
        what: goal,
        value: largest,
        unit: MIB,
        least: AtMost(most),
        aim: None,
    });
}
