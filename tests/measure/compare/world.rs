//! What runs while something is measured.

use std::{env, fs, path::PathBuf, process::Stdio, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::{
    grid::Grid,
    options::Options,
    proc_fs,
    process::{Failure, Process},
    report::Report,
    table::Table,
    targets::{Flavour, Other, Server, Way},
    tools, upstream,
};

/// The longest that one sample may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The server, the ways to it, and a directory for their files.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) server: Server,
    /// The server itself first, then the tunnel.
    pub(crate) ways: Vec<Way>,
    pub(crate) flavours: Vec<Flavour>,
    pub(crate) directory: PathBuf,
    /// The name of the machine's processors, and how many there are.
    processors: (String, usize),
    _server: Process,
}

impl World {
    /// Starts everything that is installed, and tells what is not.
    pub(crate) async fn start(options: Options) -> Result<Self, Failure> {
        let flavours = Flavour::all(&options)?;
        for tool in ["wrk", "h2load", "curl"] {
            if tools::find(tool).is_none() {
                eprintln!(
                    "{tool} is not installed: what needs it will fail (Debian: wrk, nghttp2-client, curl)"
                );
            }
        }
        let directory = env::temp_dir().join(format!("tunnel-compare-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let (server, process) = Server::start("upstream", &directory, &[upstream::ROLE]).await?;
        let mut world = Self {
            options,
            server,
            ways: vec![Way::direct(server)],
            flavours,
            directory,
            processors: proc_fs::processors(),
            _server: process,
        };
        world.start_ways().await?;
        if world.options.apart {
            world.part()?;
        }
        Ok(world)
    }

    /// Binds what is on the load's side to the first processor, and what is on the server's to the second.
    fn part(&self) -> Result<(), Failure> {
        if self.processors.1 < 2 {
            return Err("--apart needs two processors".to_owned());
        }
        let (mut front, mut back) = (Vec::new(), vec![self._server.id()]);
        for way in &self.ways {
            // One that stands alone belongs to both.
            if let [near, .., far] = &way.processes[..] {
                front.push(near.id());
                back.push(far.id());
            }
        }
        proc_fs::bind(&proc_fs::with_descendants(&front), 0)?;
        proc_fs::bind(&proc_fs::with_descendants(&back), 1)?;
        // The load is started by this process.
        proc_fs::bind(&[std::process::id()], 0)
    }

    async fn start_ways(&mut self) -> Result<(), Failure> {
        for flavour in &self.flavours {
            self.ways.push(flavour.start(&self.directory, self.server).await?);
        }
        let mut others = Vec::new();
        if !self.options.alone {
            others.extend(Other::ALL);
        }
        if self.options.hyper {
            others.push(Other::Hyper);
        }
        for other in others {
            match other.lacks() {
                Some(program) => {
                    eprintln!("{}: skipped, since {program} is not installed", other.name());
                }
                None => match other.start(&self.directory, self.server).await {
                    Ok(way) => self.ways.push(way),
                    Err(error) => eprintln!("{}: skipped: {error}", other.name()),
                },
            }
        }
        Ok(())
    }

    /// The ways for which this holds.
    pub(crate) fn ways(&self, is_wanted: impl Fn(&Way) -> bool) -> Vec<&Way> {
        self.ways.iter().filter(|way| is_wanted(way)).collect()
    }

    /// Takes a sample of each way in each round; each round begins with another way.
    pub(crate) async fn rounds<const N: usize>(
        &self,
        report: &mut Report,
        ways: &[&Way],
        grid: &mut Grid,
        sample: impl AsyncFn(&Way) -> Result<[f64; N], Failure>,
    ) {
        self.turns(self.options.rounds, report, ways, grid, sample).await;
    }

    /// The same in so many rounds.
    pub(crate) async fn turns<const N: usize>(
        &self,
        rounds: usize,
        report: &mut Report,
        ways: &[&Way],
        grid: &mut Grid,
        sample: impl AsyncFn(&Way) -> Result<[f64; N], Failure>,
    ) {
        for round in 0..rounds {
            for index in 0..ways.len() {
                // Rows are in the order of the first round.
                let way = ways[(round + index) % ways.len()];
                let sample = timeout(LONGEST, sample(way)).await;
                match sample.unwrap_or_else(|_| Err("a sample took too long".to_owned())) {
                    Ok(figures) => grid.push(&way.name, &figures),
                    Err(failure) => {
                        grid.push_failure(&way.name);
                        report.remark(format!("{}: {failure}", way.name));
                    }
                }
            }
        }
    }

    /// Waits until the server and this way have nothing to do, at most 5 s.
    pub(crate) async fn settle(&self, way: &Way) {
        let until = Instant::now() + Duration::from_secs(5);
        let mut ids = vec![self._server.id()];
        ids.extend(way.processes.iter().map(Process::id));
        let mut before = proc_fs::processor_time(&ids);
        while Instant::now() < until {
            sleep(Duration::from_millis(200)).await;
            let now = proc_fs::processor_time(&ids);
            if now.saturating_sub(before) <= Duration::from_millis(10) {
                return;
            }
            before = now;
        }
    }

    /// Where everything is.
    pub(crate) fn ways_as_table(&self) -> Table {
        let mut table = Table::new(["", "HTTP/1.1", "HTTP/2", "processes"]);
        for way in &self.ways {
            let processes = way.processes.iter();
            let ids: Vec<_> = processes
                .map(|process| format!("{} {}", process.name, process.id()))
                .collect();
            table.row(vec![
                way.name.clone(),
                way.plain.to_string(),
                way.calls.to_string(),
                ids.join(", "),
            ]);
        }
        table
    }

    /// What is compared with what.
    pub(crate) fn describe(&self) -> String {
        let (name, count) = &self.processors;
        let apart = if self.options.apart { "; apart" } else { "" };
        let versions = [
            ("nginx", "-v"),
            ("haproxy", "-v"),
            ("rathole", "--version"),
            ("curl", "--version"),
        ];
        let versions: Vec<_> = versions
            .iter()
            .filter_map(|(tool, flag)| version(tool, flag))
            .collect();
        let options = &self.options;
        format!(
            "{count} x {name}; load {}; {} rounds of {} s; threads of gateway and agent: {}{apart}\n{}",
            proc_fs::load(),
            options.rounds,
            options.seconds,
            options.threads.join(", "),
            versions.join("; "),
        )
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.options.keep {
            eprintln!("files and logs stand in {}", self.directory.display());
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// What a program says of itself: its name, and the first word that begins with a digit, or ends with such behind a slash.
fn version(tool: &str, flag: &str) -> Option<String> {
    let mut command = std::process::Command::new(tools::find(tool)?);
    let output = command.arg(flag).stdin(Stdio::null()).output().ok()?;
    // Some tell it on the one, some on the other.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let words = text
        .split_whitespace()
        .map(|word| word.rsplit('/').next().unwrap_or(word));
    // Neither years nor dates of a build.
    let mut versions =
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    let version = versions.find(|word| !word.contains(':'))?;
    Some(format!("{tool} {version}"))
}
