//! What the operator's programs have in common.

use std::{
    fmt,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use tunnel_transport::net;

use crate::config::ConfigError;

/// The command line of `gateway` and `agent`. A wrong one ends the process with the code 2.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// The YAML file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Says whether the file is right, and what is wrong in it, and starts nothing.
    #[arg(long)]
    pub check: bool,
}

impl Options {
    /// Loads the file with `load`; gives what to run with, or the code to exit with.
    ///
    /// # Errors
    ///
    /// The code: 0 after `--check` found nothing wrong, 1 for a file that is wrong, which is then told on the standard error.
    pub fn load<T: fmt::Display>(&self, load: fn(&Path) -> Result<T, ConfigError>) -> Result<T, ExitCode> {
        let file = self.config.display();
        match load(&self.config) {
            Ok(config) if self.check => {
                println!("{file}: ok: {config}");
                Err(ExitCode::SUCCESS)
            }
            Ok(config) => Ok(config),
            Err(error) => {
                let (count, plural) = (error.count(), if error.count() == 1 { "" } else { "s" });
                eprintln!("{error}\n{file}: {count} error{plural}");
                Err(ExitCode::FAILURE)
            }
        }
    }
}

/// Logs to the standard error: what `RUST_LOG` asks for, else `default`, such as `info`.
pub fn log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// Tells why the program ends, with every source, and gives the code for that.
pub fn fail(what: &str, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprint!("{what}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprint!(": {error}");
        source = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}

/// The command line of the teaching programs that have a gateway.
#[derive(Clone, Copy, Debug, Parser)]
pub struct Ports {
    /// Where outside traffic comes in; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where agents come in; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7000")]
    pub agents_listen: SocketAddr,
}

impl Ports {
    /// Opens both: the one for the outside first.
    ///
    /// # Errors
    ///
    /// As [`listen`].
    pub fn open(self) -> io::Result<(TcpListener, TcpListener)> {
        Ok((listen(self.listen)?, listen(self.agents_listen)?))
    }
}

/// Opens a port.
///
/// # Errors
///
/// It is taken, or not ours; the text says which.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    net::bind(address, net::DEFAULT_BACKLOG)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}
