//! A download over a link that takes its time.

use std::time::Duration;

use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    relay::{Link, Relay},
    report::{Bound::AtLeast, Report},
    targets::{TUNNEL, Way},
    tools::curl,
    world::World,
};

const BYTES: u64 = 100 << 20;

/// From one end of the link to the other.
const DELAY: Duration = Duration::from_millis(50);

/// More in flight than the download has.
const UNBOUNDED: usize = 256 << 20;

const PLAIN: &str = "plain TCP";
const RATE: &str = "MiB/s";

const COLUMNS: &[Column] = &[column(RATE, 1), column("seconds", 2)];

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin("100 MiB over a link with a round trip of 100 ms");
    let mut grid = Grid::new(COLUMNS);
    let bounded = world.options.flight << 20;
    for (flight, name) in [
        (bounded, format!("{} MiB in flight", bounded >> 20)),
        (UNBOUNDED, "any in flight".to_owned()),
    ] {
        let link = Link { delay: DELAY, flight };
        if let Err(failure) = over(world, report, &mut grid, link, &name).await {
            report.remark(failure);
        }
    }
    report.grid(&begun, &grid);
    let name = |way: &str| format!("{way}, {} MiB in flight", world.options.flight);
    let row = "100 MiB over a 100 ms link / plain TCP over the same";
    let ratio = grid.pairs((&name(TUNNEL), RATE), (&name(PLAIN), RATE));
    report.ratio(row, ratio, AtLeast(0.8), AtLeast(0.95));
}

async fn over(
    world: &World,
    report: &mut Report,
    grid: &mut Grid,
    link: Link,
    name: &str,
) -> Result<(), Failure> {
    let relay = Relay::start(world.server.plain, link).await;
    let mut plain = Way::direct(world.server);
    plain.name = format!("{PLAIN}, {name}");
    plain.plain = relay.addr;
    let mut ways = vec![plain];
    let mut relays = vec![relay];
    for flavour in &world.flavours {
        let between = async |gateway| {
            let relay = Relay::start(gateway, link).await;
            let addr = relay.addr;
            relays.push(relay);
            addr
        };
        let mut way = flavour
            .start_through(&world.directory, world.server, between)
            .await?;
        way.name = format!("{}, {name}", flavour.name);
        ways.push(way);
    }
    let sample = async |way: &Way| {
        let curl = curl::download(way.plain, BYTES).await?;
        Ok([curl.mib_per_second(), curl.seconds])
    };
    let ways: Vec<_> = ways.iter().collect();
    world.rounds(report, &ways, grid, sample).await;
    Ok(())
}
