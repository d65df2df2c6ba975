//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The stack of layers beside what people would use instead.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// Rounds; each takes one sample of every way.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of one sample of a load.
    #[arg(long, default_value_t = 2)]
    pub(crate) seconds: u64,
    /// Only these measures, with commas between them.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Measure>,
    /// One round of one second, and transfers of 256 MiB: tells whether everything works, and no more.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Tables in Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// How the gateway and the agent run: their `--threads`. Of several, the first is the one that is compared.
    #[arg(
        long,
        value_name = "current|N|default",
        value_delimiter = ',',
        default_value = "default"
    )]
    pub(crate) threads: Vec<String>,
    /// The tunnel is measured as well with each of these: what it costs stands beside.
    #[arg(long, value_delimiter = ',')]
    pub(crate) with: Vec<Extra>,
    /// The programs of others are left out.
    #[arg(long)]
    pub(crate) alone: bool,
    /// Two proxies that are hyper and nothing else are measured beside: what the library costs without a tunnel and without layers.
    #[arg(long)]
    pub(crate) hyper: bool,
    /// The directory of other builds of gateway and agent, which are measured beside, such as those from before a change.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) before: Option<PathBuf>,
    /// The directory of gateway and agent; by default that of this program, where they are built first.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) programs: Option<PathBuf>,
    /// Whoever stands beside the load shares the first processor with it, and whoever stands beside the server the second one with
    /// that. Else the system decides, and not the same for long.
    #[arg(long)]
    pub(crate) apart: bool,
    /// Gateway and agent are taken as they are.
    #[arg(long)]
    pub(crate) no_build: bool,
    /// MiB that the slow link of the measure `link` holds in flight: the receive buffer that Linux has by default.
    #[arg(long, default_value_t = 6)]
    pub(crate) flight: usize,
    /// Starts everything, tells addresses and process ids, and measures nothing: for profilers, until Ctrl-C.
    #[arg(long)]
    pub(crate) hold: bool,
    /// Leaves files and logs of the processes where they are.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What is measured. The names are those of `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Small GET over 50 connections.
    Small50,
    /// Small GET over 256 connections.
    Small256,
    /// Small GET through all flavours of the tunnel at once.
    Cost,
    /// Small GET over one connection.
    One,
    /// 1 GiB down.
    Download,
    /// 1 GiB up.
    Upload,
    /// gRPC unary calls.
    Grpc,
    /// Small GET beside a bulk download.
    Bulk,
    /// Small GET beside readers that have stopped.
    Stalled,
    /// Echoes over WebSockets.
    Websocket,
    /// A download over a slow link.
    Link,
    /// Time to the first byte.
    FirstByte,
    /// Memory of each process.
    Memory,
    /// Memory of 10,000 idle exchanges.
    Exchanges,
}

/// What gateway and agent may have besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extra {
    /// Exchanges are measured.
    Metrics,
    /// Exchanges are measured, and logged to a file as JSON.
    Log,
    /// TLS between the two.
    Tls,
}

impl Options {
    /// The values that `--quick` stands for are in their places.
    pub(crate) fn read() -> Self {
        let options = Self::parse();
        if !options.quick {
            return options;
        }
        Self {
            rounds: 1,
            seconds: 1,
            ..options
        }
    }

    pub(crate) fn has(&self, measure: Measure) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }

    /// The bytes of a bulk transfer.
    pub(crate) fn bulk(&self) -> u64 {
        if self.quick { 256 << 20 } else { 1 << 30 }
    }
}
