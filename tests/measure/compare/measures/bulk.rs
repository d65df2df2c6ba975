//! One large body.

use crate::{
    grid::{Column, Grid, column},
    process::Failure,
    report::{
        Bound::{AtLeast, AtMost},
        Report,
    },
    targets::{RATHOLE, TUNNEL, Way},
    tools::curl::{self, Curl, Zeros},
    world::World,
};

const RATE: &str = "MiB/s";
const TIME: &str = "CPU ms/GiB";

const COLUMNS: &[Column] = &[column(RATE, 0), column(TIME, 0), column("peak MiB", 1)];

/// Down.
pub(crate) async fn download(world: &World, report: &mut Report) {
    let bytes = world.options.bulk();
    let load = async |way: &Way| curl::download(way.plain, bytes).await;
    let (rate, time) = measure(world, report, "download", load).await;
    report.ratio("1 GiB download / rathole", rate, AtLeast(1.5), AtLeast(2.0));
    report.ratio("CPU per GiB, download / rathole", time, AtMost(0.7), AtMost(0.5));
}

/// Up.
pub(crate) async fn upload(world: &World, report: &mut Report) {
    let zeros = match Zeros::new(world.options.bulk()) {
        Ok(zeros) => zeros,
        Err(error) => return report.remark(error),
    };
    let load = async |way: &Way| curl::upload(way.plain, &zeros).await;
    let (rate, time) = measure(world, report, "upload", load).await;
    report.ratio("1 GiB upload / rathole", rate, AtLeast(1.5), AtLeast(2.0));
    report.ratio("CPU per GiB, upload / rathole", time, AtMost(0.7), AtMost(0.5));
}

/// Gives the ratios to rathole: of the speed, and of the processor time.
async fn measure(
    world: &World,
    report: &mut Report,
    name: &str,
    load: impl AsyncFn(&Way) -> Result<Curl, Failure>,
) -> (Option<f64>, Option<f64>) {
    let begun = report.begin(&format!("{} MiB {name}", world.options.bulk() >> 20));
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|_| true);
    let sample = async |way: &Way| {
        way.forget_peak();
        let before = way.processor_time();
        let curl = load(way).await?;
        let time = way
            .processor_time()
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        let gib = curl.bytes / f64::from(1 << 30);
        let each = time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3 / gib);
        Ok([curl.mib_per_second(), each, way.peak()])
    };
    for way in &ways {
        // The first transfer takes what is taken once; what fails here is told in the first round.
        let _ = sample(way).await;
    }
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let pairs = |column| grid.pairs((TUNNEL, column), (RATHOLE, column));
    (pairs(RATE), pairs(TIME))
}
