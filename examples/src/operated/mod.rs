//! The admin interface of the operator's programs.

mod agent;
mod gateway;

use std::{fmt, future::pending, io, net::SocketAddr};

use tokio::net::TcpListener;
use tracing::{error, info};
use tunnel_layers::metrics::{Counts, Overview};
use tunnel_transport::{
    admin::{Admin, AdminBuilder, view},
    metrics::Reporter,
};

pub use self::{agent::OperatedAgent, gateway::OperatedGateway};
use crate::{
    asked::ReloadHandle,
    config::Admin as AdminConfig,
    program::{self, LogFilter},
    telemetry::Telemetry,
};

/// What the interface asks of the program around.
pub struct Program {
    file: String,
    reloads: ReloadHandle,
    log: LogFilter,
    overview: Overview,
}

impl Program {
    /// A program with this file, which `reloads` has looked at, with this log, and which has counted this.
    #[must_use]
    pub const fn new(file: String, reloads: ReloadHandle, log: LogFilter, overview: Overview) -> Self {
        Self {
            file,
            reloads,
            log,
            overview,
        }
    }
}

/// A port that is open, and what is served there.
#[derive(Debug)]
struct Port {
    admin: Admin,
    config: AdminConfig,
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    fn open(config: &AdminConfig, builder: AdminBuilder, program: Program) -> io::Result<Self> {
        let listener = program::listen(config.listen)?;
        let address = listener.local_addr()?;
        let admin = program.told(builder).access(config.access.clone()).build();
        Ok(Self {
            admin,
            config: config.clone(),
            listener,
            address,
        })
    }

    async fn serve(self) {
        let secret = match self.config.access.has_credentials() {
            true => "with credentials",
            false => "open to programs on this machine",
        };
        info!(address = %self.address, access = secret, "the admin interface listens");
        match self.admin.serve(self.config.entry(), self.listener) {
            Ok(serve) => serve.await,
            // The file would not have been right.
            Err(error) => error!(%error, "there is no admin interface"),
        }
        pending::<()>().await;
    }
}

/// The interface, with what the file asks to be measured.
fn measured(builder: AdminBuilder, telemetry: &Telemetry, reporter: Reporter) -> AdminBuilder {
    match telemetry.renderer(reporter) {
        Some(render) => builder.metrics(render),
        None => builder,
    }
}

/// Says anew who may ask.
fn replace_access(admin: &Admin, config: Option<&AdminConfig>) {
    let Some(config) = config else { return };
    if let Err(error) = admin.replace_access(config.access.clone()) {
        error!(%error, "who may use the admin interface stays as it was");
    }
}

impl Program {
    /// Tells the interface what both programs know.
    fn told(self, builder: AdminBuilder) -> AdminBuilder {
        let Self {
            file,
            reloads,
            log,
            overview,
        } = self;
        let reader = reloads.clone();
        let config = move || {
            let (loaded, last_reload) = reader.status();
            view::Config {
                file: Some(file.clone()),
                loaded_unix_ms: Some(loaded),
                last_reload,
                ..view::Config::default()
            }
        };
        let get = log.clone();
        builder
            .version(env!("CARGO_PKG_VERSION"))
            .config(config)
            .reload(move || {
                let reloads = reloads.clone();
                async move { reloads.reload().await }
            })
            .log(move || get.get(), move |text| log.set(text))
            .traffic(move || traffic(&overview))
    }
}

/// What was counted, as the interface tells it.
fn traffic(overview: &Overview) -> Vec<view::Traffic> {
    let row = |row: tunnel_layers::metrics::Row| {
        let target = match (&*row.group, &*row.upstream) {
            ("", "") => String::new(),
            ("", upstream) => format!("upstream:{upstream}"),
            (group, _) => group.to_owned(),
        };
        counted(row.rule.to_string(), target, &row.counts)
    };
    overview.snapshot().into_iter().map(row).collect()
}

/// The classes of statuses, as they are counted.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

fn counted(rule: String, target: String, counts: &Counts) -> view::Traffic {
    let classes = CLASSES
        .iter()
        .zip(counts.statuses)
        .filter(|(_, count)| *count > 0);
    let last = counts.latencies.iter().rposition(|count| *count > 0);
    view::Traffic {
        rule,
        target,
        requests: counts.requests,
        open: counts.open,
        failures: counts
            .failures
            .iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect(),
        statuses: classes
            .map(|(class, count)| ((*class).to_owned(), count))
            .collect(),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
        latency_log2_us: last.map_or_else(Vec::new, |last| counts.latencies[..=last].to_vec()),
        latency_sum_us: u64::try_from(counts.latency_sum.as_micros()).unwrap_or(u64::MAX),
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
