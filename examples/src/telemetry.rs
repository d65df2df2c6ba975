//! What the operator's programs measure and log of exchanges.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use metrics::{Unit, counter, describe_counter};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{Instant, interval};
use tunnel_core::BoxError;
use tunnel_layers::{
    access_log::{AccessLogLayer, Events, Writer},
    metrics::{MetricsLayer, Overview},
};
use tunnel_transport::{Agent, metrics::Reporter};

use crate::config::{AccessLogSettings, LogTo, MetricsSettings, Observe};

/// The bounds of what times are sorted into, in seconds: from a fast answer to a long download.
const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// The same for each agent: fewer, since there may be many of them.
const AGENT_BUCKETS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

/// How often what was measured is put in order, though nobody asks for it, so that it does not grow.
const UPKEEP: Duration = Duration::from_secs(5);

/// How often it is looked whether the file of the access log is still the one that is open.
const LOOK: Duration = Duration::from_secs(1);

const LINES: &str = "tunnel_access_log_lines_total";

/// The layers that measure and log, and what is made of it.
pub struct Telemetry {
    metrics: MetricsLayer,
    access_log: AccessLogLayer,
    prometheus: Option<PrometheusHandle>,
    writer: Option<Writer>,
}

impl Telemetry {
    /// Starts what the file asks for. Exchanges are counted in `overview`, if there is one, whatever the file says.
    ///
    /// # Errors
    ///
    /// The file of the access log cannot be opened, there is no thread for it, or the process has a recorder already.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(observe: &Observe, overview: Option<Overview>) -> Result<Self, BoxError> {
        let prometheus = observe.metrics.map(|_| install()).transpose()?;
        let is_on = observe.metrics.is_some() || overview.is_some();
        let mut metrics = bounded(observe.metrics.unwrap_or_default()).enabled(is_on);
        if let Some(overview) = overview {
            metrics = metrics.overview(overview);
        }
        let (access_log, writer) = match &observe.access_log {
            Some(settings) => access_log(settings)?,
            None => (AccessLogLayer::new().enabled(false), None),
        };
        if let Some(prometheus) = &prometheus {
            describe_counter!(LINES, Unit::Count, "Lines of the access log, written or dropped.");
            tokio::spawn(keep_up(prometheus.clone()));
        }
        Ok(Self {
            metrics,
            access_log,
            prometheus,
            writer,
        })
    }

    /// The layer that measures. It does nothing if nothing is to be measured.
    #[must_use]
    pub fn metrics(&self) -> MetricsLayer {
        self.metrics.clone()
    }

    /// The layer that logs. It does nothing if nothing is to be logged.
    #[must_use]
    pub fn access_log(&self) -> AccessLogLayer {
        self.access_log.clone()
    }

    /// The two layers around what an agent serves, which say who it is, and its group if it has only one.
    #[must_use]
    pub fn at_agent(&self, agent: &Agent) -> (MetricsLayer, AccessLogLayer) {
        let (metrics, access_log) = (self.metrics(), self.access_log());
        let metrics = metrics.agent(agent.id().as_shared().clone());
        let access_log = access_log.agent(agent.id().clone());
        let (groups, _, _) = agent.registers();
        match groups.first().map(|group| group.parse()) {
            Some(Ok(group)) if groups.len() == 1 => {
                let name = groups[0].as_str();
                (metrics.group(name), access_log.group(group))
            }
            _ => (metrics, access_log),
        }
    }

    /// What `/metrics` answers, in the text format of Prometheus, if the file asks for it. `reporter` is asked each time how things stand.
    #[must_use]
    pub fn renderer(&self, reporter: Reporter) -> Option<impl Fn() -> String + Send + Sync + use<>> {
        let (prometheus, writer) = (self.prometheus.clone()?, self.writer.clone());
        Some(move || {
            reporter.report();
            if let Some(writer) = &writer {
                counter!(LINES, "outcome" => "written").absolute(writer.written());
                counter!(LINES, "outcome" => "dropped").absolute(writer.dropped());
            }
            prometheus.run_upkeep();
            prometheus.render()
        })
    }

    /// Waits until every line is written. It blocks the thread, and is for the end of a program.
    pub fn finish(&self) {
        if let Some(writer) = &self.writer {
            writer.flush();
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("metrics", &self.metrics)
            .field("access_log", &self.access_log)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// A recorder for the whole process.
fn install() -> Result<PrometheusHandle, BoxError> {
    Ok(prometheus()?.install_recorder()?)
}

/// A recorder with the buckets of these programs.
///
/// # Errors
///
/// None, as long as there are buckets.
pub fn prometheus() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)?
        .set_buckets_for_metric(Matcher::Prefix("tunnel_agent_".into()), AGENT_BUCKETS)
}

async fn keep_up(prometheus: PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    loop {
        ticks.tick().await;
        prometheus.run_upkeep();
    }
}

fn bounded(settings: MetricsSettings) -> MetricsLayer {
    let mut layer = MetricsLayer::new();
    if let Some(max) = settings.max_agents {
        layer = layer.max_agents(max);
    }
    if let Some(max) = settings.max_rules {
        layer = layer.max_rules(max);
    }
    layer
}

fn access_log(settings: &AccessLogSettings) -> Result<(AccessLogLayer, Option<Writer>), BoxError> {
    let headers = settings.headers.iter().map(String::as_str);
    let layer = AccessLogLayer::new().query(settings.query).headers(headers)?;
    let writer = match &settings.to {
        LogTo::Events => return Ok((layer.sink(Events::default()), None)),
        LogTo::Stdout => Writer::new(settings.format, io::stdout())?,
        LogTo::Stderr => Writer::new(settings.format, io::stderr())?,
        LogTo::File(path) => {
            let file = LogFile::open(path).map_err(|error| {
                let text = format!("cannot write the access log {}: {error}", path.display());
                io::Error::new(error.kind(), text)
            })?;
            Writer::new(settings.format, file)?
        }
    };
    Ok((layer.sink(writer.clone()), Some(writer)))
}

/// A file that is opened again when it is not the one with its name any more, as those who rotate logs leave it.
struct LogFile {
    path: PathBuf,
    file: File,
    looked: Instant,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append(path)?,
            looked: Instant::now(),
        })
    }

    fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        // What cannot be opened now may be later; until then the old one is written.
        if !is_same(&self.path, &self.file)
            && let Ok(file) = append(&self.path)
        {
            self.file = file;
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(unix)]
fn is_same(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let of = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (path.metadata(), file.metadata()) {
        (Ok(named), Ok(open)) => of(named) == of(open),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same(path: &Path, _: &File) -> bool {
    path.exists()
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
