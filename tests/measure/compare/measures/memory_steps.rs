//! One step of the measure of memory: processes are started, something happens, and they are looked at.

use crate::{
    proc_fs::Memory,
    process::{Failure, Process},
    targets::{Other, Way},
    world::World,
};

/// What is started for a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fresh {
    /// The tunnel; the number is that of the flavour.
    Ours(usize),
    Other(Other),
}

impl Fresh {
    /// All flavours of the tunnel, and those of others that are installed and wanted.
    pub(super) fn all(world: &World, others: &[&str]) -> Vec<Self> {
        let ours = (0..world.flavours.len()).map(Self::Ours);
        let others = Other::ALL
            .into_iter()
            .filter(|other| !world.options.alone && others.contains(&other.name()));
        let others = others.filter(|other| other.lacks().is_none());
        ours.chain(others.map(Self::Other)).collect()
    }

    pub(super) fn name(self, world: &World) -> String {
        match self {
            Self::Ours(flavour) => world.flavours[flavour].name.clone(),
            Self::Other(other) => other.name().to_owned(),
        }
    }

    /// Starts it; one small GET has gone through.
    async fn start(self, world: &World) -> Result<Way, Failure> {
        let way = match self {
            Self::Ours(flavour) => {
                world.flavours[flavour]
                    .start(&world.directory, world.server)
                    .await?
            }
            Self::Other(other) => other.start(&world.directory, world.server).await?,
        };
        world.settle(&way).await;
        Ok(way)
    }
}

/// What each process of a way holds.
pub(super) type Figures = Vec<(String, f64)>;

fn figures(way: &Way, figure: impl Fn(Memory) -> u64) -> Figures {
    let mib = |process: &Process| figure(process.memory()) as f64 / f64::from(1 << 20);
    way.processes
        .iter()
        .map(|process| (process.name.clone(), mib(process)))
        .collect()
}

/// After the start.
pub(super) async fn idle(world: &World, fresh: &Fresh) -> Result<Figures, Failure> {
    let way = fresh.start(world).await?;
    Ok(figures(&way, |memory| memory.resident))
}

/// The most while something happens, and until all is quiet again. What `load` gives is kept until then.
pub(super) async fn peak<T>(
    world: &World,
    fresh: &Fresh,
    load: &impl AsyncFn(&Way) -> Result<T, Failure>,
) -> Result<Figures, Failure> {
    let way = fresh.start(world).await?;
    way.forget_peak();
    let load = load(&way).await?;
    world.settle(&way).await;
    let figures = figures(&way, |memory| memory.peak);
    drop(load);
    Ok(figures)
}

/// The same, beyond what was there before.
pub(super) async fn added<T>(
    world: &World,
    fresh: &Fresh,
    load: &impl AsyncFn(&Way) -> Result<T, Failure>,
) -> Result<Figures, Failure> {
    let way = fresh.start(world).await?;
    way.forget_peak();
    let before = figures(&way, |memory| memory.resident);
    let load = load(&way).await?;
    world.settle(&way).await;
    let after = figures(&way, |memory| memory.peak);
    drop(load);
    let added = |((name, after), (_, before)): ((String, f64), (String, f64))| (name, after - before);
    Ok(after.into_iter().zip(before).map(added).collect())
}
