//! What the operator's programs measure and log of exchanges.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use metrics::{Unit, counter, describe_counter};
use tokio::time::Instant;
use tunnel_core::BoxError;
use tunnel_layers::{
    access_log::{AccessLogLayer, Events, Writer},
    metrics::{MetricsLayer, Overview},
    observe::ObserveLayer,
};
use tunnel_transport::{Agent, metrics::Reporter};

use crate::{
    Traces,
    config::{AccessLogSettings, LogTo, MetricsSettings, Observe},
    prometheus::Prometheus,
};

/// How often it is looked whether the file of the access log is still the one that is open.
const LOOK: Duration = Duration::from_secs(1);

const LINES: &str = "tunnel_access_log_lines_total";

const SPANS: &str = "tunnel_spans_total";

/// The layers that measure and log, and what is made of it.
pub struct Telemetry {
    metrics: MetricsLayer,
    /// The same for what is not in the overview, which is of what the program serves.
    local: MetricsLayer,
    /// Where exchanges are counted, so that nobody else has to.
    counted: [Overview; 2],
    access_log: AccessLogLayer,
    prometheus: Option<Prometheus>,
    writer: Option<Writer>,
    traces: Traces,
}

impl Telemetry {
    /// Starts what the file asks for. Exchanges are counted in `overview`, if there is one, whatever the file says; of `traces` it is
    /// measured what becomes of them.
    ///
    /// # Errors
    ///
    /// The file of the access log cannot be opened, there is no thread for it, or the process has a recorder already.
    pub fn start(observe: &Observe, overview: Option<Overview>, traces: &Traces) -> Result<Self, BoxError> {
        let prometheus = observe.metrics.map(|_| install()).transpose()?;
        let is_on = observe.metrics.is_some();
        let bounded = bounded(observe.metrics.unwrap_or_default()).recorded(false);
        let is_asked = is_on || overview.is_some();
        let counted = [overview.unwrap_or_default(), Overview::new()];
        let [metrics, local] = counted.clone().map(|counted| bounded.clone().overview(counted));
        let (access_log, writer) = match &observe.access_log {
            Some(settings) => access_log(settings)?,
            None => (AccessLogLayer::new().enabled(false), None),
        };
        if prometheus.is_some() {
            describe_counter!(LINES, Unit::Count, "Lines of the access log, written or dropped.");
            describe_counter!(
                SPANS,
                Unit::Count,
                "Spans of traces, sent to the collector or dropped."
            );
        }
        Ok(Self {
            metrics: metrics.enabled(is_asked),
            local: local.enabled(is_on),
            counted,
            access_log,
            prometheus,
            writer,
            traces: traces.clone(),
        })
    }

    /// The layer that measures and logs.
    #[must_use]
    pub fn layer(&self) -> ObserveLayer {
        let layer = ObserveLayer::new().metrics(self.metrics.clone());
        layer.access_log(self.access_log.clone())
    }

    /// The one around what an agent serves, which says who it is, and its group if it has only one.
    #[must_use]
    pub fn at_agent(&self, agent: &Agent) -> ObserveLayer {
        let mut metrics = self.metrics.clone().agent(agent.id().as_shared().clone());
        let mut access_log = self.access_log.clone().agent(agent.id().clone());
        let (groups, _, _) = agent.registers();
        if let [only] = &*groups
            && let Ok(group) = only.parse()
        {
            metrics = metrics.group(only.as_str());
            access_log = access_log.group(group);
        }
        ObserveLayer::new().metrics(metrics).access_log(access_log)
    }

    /// The one of an agent's own ports: its `role` is `local`.
    #[must_use]
    pub fn at_locals(&self) -> ObserveLayer {
        let metrics = self.local.clone().role("local");
        let access_log = self.access_log.clone();
        ObserveLayer::new().metrics(metrics).access_log(access_log)
    }

    /// What `/metrics` answers, in the text format of Prometheus, if the file asks for it. `reporter` is asked each time how things stand.
    #[must_use]
    pub fn renderer(&self, reporter: Reporter) -> Option<impl Fn() -> String + Send + Sync + use<>> {
        let (prometheus, writer) = (self.prometheus.clone()?, self.writer.clone());
        let (traces, counted) = (self.traces.clone(), self.counted.clone());
        Some(move || {
            reporter.report();
            if let Some(writer) = &writer {
                counter!(LINES, "outcome" => "written").absolute(writer.written());
                counter!(LINES, "outcome" => "dropped").absolute(writer.dropped());
            }
            if let Some((sent, dropped)) = traces.spans() {
                counter!(SPANS, "outcome" => "sent").absolute(sent);
                counter!(SPANS, "outcome" => "dropped").absolute(dropped);
            }
            prometheus.render(counted.iter().flat_map(Overview::families))
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
fn install() -> Result<Prometheus, BoxError> {
    let prometheus = Prometheus::new();
    metrics::set_global_recorder(prometheus.clone()).map_err(|error| error.to_string())?;
    Ok(prometheus)
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
