//! What processes hold in memory, each time freshly started ones.

use std::time::Duration;

use tokio::time::timeout;

use super::memory_steps::{Figures, Fresh, added, idle, peak};
use crate::{
    grid::figure,
    process::Failure,
    readers,
    report::{Bound::AtMost, Goal, Report},
    table::Table,
    targets::{NGINX_TWO, RATHOLE, TUNNEL, Way},
    tools::{
        curl::{self, Zeros},
        wrk::wrk,
    },
    world::World,
};

/// What an exchange may hold of a body that nobody reads, in MiB.
const CREDIT: f64 = tunnel_core::flow::DEFAULT_INITIAL_CREDIT as f64 / (1 << 20) as f64;

const READERS: usize = 50;

/// The longest that one step may take.
const LONGEST: Duration = Duration::from_secs(120);

const MIB: &str = " MiB";

/// Figures of the processes of a way, by the way's name.
type Row = (String, Figures);

/// The columns of the table as they are filled.
#[derive(Default)]
struct Columns {
    names: Vec<&'static str>,
    /// By way and process, with a figure for each column.
    rows: Vec<(String, Vec<Option<f64>>)>,
}

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin("Memory of each process, in MiB");
    let mut columns = Columns::default();
    let fresh = Fresh::all(world, &[RATHOLE, NGINX_TWO]);
    let ours = Fresh::all(world, &[]);
    let bytes = world.options.bulk();
    let zeros = match Zeros::new(bytes) {
        Ok(zeros) => zeros,
        Err(error) => return report.remark(error),
    };
    let seconds = world.options.seconds;

    let rows = steps(world, report, &fresh, async |fresh| idle(world, fresh).await).await;
    columns.add("idle", &rows);
    goal(report, &rows, "memory, idle", 15.0);
    let load = async |way: &Way| wrk(way.plain, 256, seconds).await;
    let rows = steps(world, report, &fresh, async |fresh| {
        peak(world, fresh, &load).await
    })
    .await;
    columns.add("256 connections", &rows);
    goal(report, &rows, "memory, 256 connections of small requests", 32.0);
    let load = async |way: &Way| curl::download(way.plain, bytes).await;
    let rows = steps(world, report, &fresh, async |fresh| {
        added(world, fresh, &load).await
    })
    .await;
    columns.add("added by 1 GiB down", &rows);
    goal(report, &rows, "memory, added by a download of 1 GiB", 8.0);
    let load = async |way: &Way| curl::upload(way.plain, &zeros).await;
    let rows = steps(world, report, &fresh, async |fresh| {
        added(world, fresh, &load).await
    })
    .await;
    columns.add("added by 1 GiB up", &rows);
    goal(report, &rows, "memory, added by an upload of 1 GiB", 8.0);

    let most = READERS as f64 * CREDIT + 16.0;
    let path = format!("/bench/bytes/{}", 1 << 30);
    let load = async |way: &Way| readers::stopped(way.plain, &path, READERS).await;
    let rows = steps(world, report, &ours, async |fresh| {
        peak(world, fresh, &load).await
    })
    .await;
    columns.add("50 stalled readers", &rows);
    goal(report, &rows, "memory, 50 stalled readers", most);
    let load = async |way: &Way| readers::stopped(way.plain, "/bench/drip", READERS).await;
    let rows = steps(world, report, &ours, async |fresh| {
        peak(world, fresh, &load).await
    })
    .await;
    columns.add("50 stalled, single bytes", &rows);
    goal(report, &rows, "memory, 50 stalled readers of single bytes", most);
    report.table(&begun, &columns.table());
}

impl Columns {
    fn add(&mut self, name: &'static str, rows: &[Row]) {
        let filled = self.names.len();
        self.names.push(name);
        for (way, processes) in rows {
            for (place, (process, mib)) in processes.iter().enumerate() {
                // Both hops have the same name.
                let is_second = processes[..place].iter().any(|(earlier, _)| earlier == process);
                let row = format!("{way}: {process}{}", if is_second { " behind it" } else { "" });
                let index = self.rows.iter().position(|(known, _)| *known == row);
                let index = index.unwrap_or_else(|| {
                    self.rows.push((row, Vec::new()));
                    self.rows.len() - 1
                });
                let figures = &mut self.rows[index].1;
                figures.resize(filled, None);
                figures.push(Some(*mib));
            }
        }
    }

    fn table(&self) -> Table {
        let header = [""].iter().chain(&self.names);
        let mut table = Table::from_header(header.map(|name| (*name).to_owned()).collect());
        for (row, figures) in &self.rows {
            let figures = (0..self.names.len()).map(|index| figures.get(index).copied().flatten());
            let cells = figures.map(|mib| figure(mib, 1));
            table.row([row.clone()].into_iter().chain(cells).collect());
        }
        table
    }
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
    step: impl AsyncFn(&Fresh) -> Result<Figures, Failure>,
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

/// Puts the larger one of gateway and agent beside what is to be reached.
fn goal(report: &mut Report, rows: &[Row], what: &'static str, most: f64) {
    let ours = rows.iter().find(|(way, _)| way == TUNNEL);
    let largest = ours.and_then(|(_, processes)| processes.iter().map(|(_, mib)| *mib).reduce(f64::max));
    report.goal(Goal {
        what,
        value: largest,
        unit: MIB,
        least: AtMost(most),
        aim: None,
    });
}
