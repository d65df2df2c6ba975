//! What the operator's programs have in common.

use std::{
    fmt, hint, io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    thread,
};

use clap::Parser;
use tokio::{net::TcpListener, runtime::Builder};
use tunnel_transport::net;

use crate::config::ConfigError;
pub use crate::logging::{LogFilter, log};

/// The command line of `gateway` and `agent`. A wrong one ends the process with the code 2.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// The YAML file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Says whether the file is right, and what is wrong in it, and starts nothing.
    #[arg(long)]
    pub check: bool,
    /// The threads that work: `current` for one that does everything, or a number from 1 to 1024 of them [default: `current` on
    /// one or two processors, otherwise one for each].
    #[arg(long, value_name = "N|current")]
    pub threads: Option<Threads>,
}

/// The threads of a program's runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The thread that starts the program does everything.
    Current,
    /// So many workers.
    Workers(NonZeroUsize),
}

impl Threads {
    /// What was measured to be fastest: on two processors the other ends of the connections have work for the second one.
    fn of_this_machine() -> Self {
        match thread::available_parallelism() {
            Ok(processors) if processors.get() > 2 => Self::Workers(processors),
            Ok(_) | Err(_) => Self::Current,
        }
    }
}

impl FromStr for Threads {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "current" => Ok(Self::Current),
            Ok(workers @ 1..=MAX_WORKERS) => NonZeroUsize::new(workers).map(Self::Workers).ok_or(NO_THREADS),
            Ok(_) | Err(_) => Err(NO_THREADS),
        }
    }
}

/// The sockets that one turn of a single thread serves. What they had for the tunnel is written at the turn's end, so that with
/// many more the other end of the tunnel would stand idle meanwhile: 16 made 20 % more requests a second than 1,024, at the same
/// cost of each.
const EVENTS_AT_ONCE: usize = 16;

/// More workers than any machine has processors are a mistake.
const MAX_WORKERS: usize = 1024;

const NO_THREADS: &str = "write `current`, or a number from 1 to 1024";

/// Has the allocator keep up to twice this of what is given back, in bytes.
const KEPT: usize = 1024 * 1024;

/// What a transfer gives back is wanted again with its next chunk. glibc keeps 128 KiB at the end of its heap and gives all above to the
/// system, page by page; it learns to keep more when a block of its own mapping is freed (mallopt(3), `M_MMAP_THRESHOLD`): twice the size
/// of that. Elsewhere this does nothing.
fn keep_memory() {
    drop(hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

impl Options {
    /// Runs the program to its end, on the runtime that the command line asks for.
    #[must_use]
    pub fn run<F: Future<Output = ExitCode>>(self, program: impl FnOnce(Self) -> F) -> ExitCode {
        keep_memory();
        let runtime = match self.threads.unwrap_or_else(Threads::of_this_machine) {
            Threads::Current => Builder::new_current_thread()
                .max_io_events_per_tick(EVENTS_AT_ONCE)
                .enable_all()
                .build(),
            Threads::Workers(workers) => Builder::new_multi_thread()
                .worker_threads(workers.get())
                .enable_all()
                .build(),
        };
        match runtime {
            Ok(runtime) => runtime.block_on(program(self)),
            Err(error) => fail("no runtime", &error),
        }
    }

    /// Loads the file with `load`; gives what to run with, or the code to exit with.
    ///
    /// # Errors
    ///
    /// The code: 0 after `--check` found nothing wrong, 1 for a file that is wrong, which is then told on the standard error.
    pub fn load<T: fmt::Display>(
        &self,
        load: impl FnOnce(&Path) -> Result<T, ConfigError>,
    ) -> Result<T, ExitCode> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_current_or_a_number() {
        let two = NonZeroUsize::new(2).map(Threads::Workers);
        assert_eq!("current".parse(), Ok(Threads::Current));
        assert_eq!("2".parse().ok(), two);
        for wrong in ["", "0", "1025", "-1", "two", "Current"] {
            assert_eq!(wrong.parse::<Threads>(), Err(NO_THREADS), "{wrong}");
        }
    }
}
