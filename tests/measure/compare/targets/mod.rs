//! The ways to the server that are compared.

mod haproxy;
pub(crate) mod hyper;
mod nginx;
mod rathole;
pub(crate) mod tunnel;

use std::{env, fmt, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    net::TcpListener,
    process::Command,
    time::{Instant, sleep},
};

pub(crate) use self::tunnel::Flavour;
use crate::{
    addr, proc_fs,
    process::{Failure, Process},
    raw, tools,
};

/// The token of every caller.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The field that every load sends, whatever is in between.
pub(crate) const AUTHORIZATION: &str = "Bearer 0123456789abcdef0123456789abcdef";

/// The names that ratios are made of.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const TUNNEL: &str = "tunnel";
pub(crate) const TUNNEL_METRICS: &str = "tunnel, metrics";
pub(crate) const NGINX_ONE: &str = "nginx, one hop";
pub(crate) const NGINX_TWO: &str = "nginx, two hops";
pub(crate) const RATHOLE: &str = "rathole";
pub(crate) const NGINX_UNKEPT: &str = "nginx, one hop, no keepalive";
const HYPER: &str = "hyper, two hops";
const HAPROXY: &str = "haproxy, one hop";

/// The addresses of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// HTTP/1.1.
    pub(crate) plain: SocketAddr,
    /// HTTP/2 without TLS.
    pub(crate) calls: SocketAddr,
}

/// Both addresses with a space between them.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.plain, self.calls)
    }
}

impl Server {
    /// Listens at two ports that the system chooses.
    pub(crate) async fn listen() -> (Self, TcpListener, TcpListener) {
        let ((plain, plain_at), (calls, calls_at)) = (addr::listen().await, addr::listen().await);
        let server = Self {
            plain: plain_at,
            calls: calls_at,
        };
        (server, plain, calls)
    }

    /// Starts this program in another role, in which it prints where it listens.
    pub(crate) async fn start(
        name: &str,
        directory: &Path,
        role: &[&str],
    ) -> Result<(Self, Process), Failure> {
        let this = env::current_exe().map_err(|error| error.to_string())?;
        let (process, line) = Process::ready(name, directory, Command::new(this).args(role)).await?;
        Ok((Self::parse(&line)?, process))
    }

    /// What [`Display`](fmt::Display) writes.
    pub(crate) fn parse(line: &str) -> Result<Self, Failure> {
        let addresses: Option<Vec<_>> = line.split(' ').map(|word| word.parse().ok()).collect();
        match addresses.as_deref() {
            Some(&[plain, calls]) => Ok(Self { plain, calls }),
            _ => Err(format!("not the addresses of a server: {line}")),
        }
    }
}

/// A way to the server.
pub(crate) struct Way {
    pub(crate) name: String,
    /// Where HTTP/1.1 goes in.
    pub(crate) plain: SocketAddr,
    /// Where gRPC goes in.
    pub(crate) calls: SocketAddr,
    /// What stands in between, in the order in which a request meets it.
    pub(crate) processes: Vec<Process>,
}

/// The programs of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    NginxOne,
    NginxTwo,
    Haproxy,
    Rathole,
    /// nginx with a connection to the server for each call, as its documentation writes `grpc_pass`.
    NginxUnkept,
    /// What two hops cost by hyper alone.
    Hyper,
}

impl Other {
    /// Those that are there for every measure.
    pub(crate) const ALL: [Self; 4] = [Self::NginxTwo, Self::NginxOne, Self::Haproxy, Self::Rathole];

    /// The name of its files, and of the program that has to be installed for it.
    fn program(self) -> &'static str {
        match self {
            Self::NginxOne | Self::NginxTwo | Self::NginxUnkept => "nginx",
            Self::Haproxy => "haproxy",
            Self::Rathole => "rathole",
            Self::Hyper => "hyper",
        }
    }

    /// The program that it lacks.
    pub(crate) fn lacks(self) -> Option<&'static str> {
        let program = self.program();
        // That one is part of this program.
        (self != Self::Hyper && tools::find(program).is_none()).then_some(program)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NginxOne => NGINX_ONE,
            Self::NginxTwo => NGINX_TWO,
            Self::Haproxy => HAPROXY,
            Self::Rathole => RATHOLE,
            Self::NginxUnkept => NGINX_UNKEPT,
            Self::Hyper => HYPER,
        }
    }

    /// Starts it. The files go into a directory of its own below `directory`.
    pub(crate) async fn start(self, directory: &Path, server: Server) -> Result<Way, Failure> {
        let directory = new_directory(directory, self.program())?;
        let (to, processes) = match self {
            Self::NginxOne => nginx::hops(&directory, server, 1, nginx::KEPT).await?,
            Self::NginxTwo => nginx::hops(&directory, server, 2, nginx::KEPT).await?,
            Self::Haproxy => haproxy::start(&directory, server).await?,
            Self::Rathole => rathole::start(&directory, server).await?,
            Self::NginxUnkept => nginx::hops(&directory, server, 1, 0).await?,
            Self::Hyper => hyper::start(&directory, server).await?,
        };
        let way = Way {
            name: self.name().to_owned(),
            plain: to.plain,
            calls: to.calls,
            processes,
        };
        way.answers(&directory).await?;
        Ok(way)
    }
}

impl Way {
    /// No way at all: the server itself.
    pub(crate) fn direct(server: Server) -> Self {
        Self {
            name: DIRECT.to_owned(),
            plain: server.plain,
            calls: server.calls,
            processes: Vec::new(),
        }
    }

    fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// User and system time of all processes in between. None without any.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        (!self.processes.is_empty()).then(|| proc_fs::processor_time(&self.ids()))
    }

    pub(crate) fn forget_peak(&self) {
        proc_fs::forget_peak(&self.ids());
    }

    /// The most memory of all processes in between, in MiB; not a number without any.
    pub(crate) fn peak(&self) -> f64 {
        if self.processes.is_empty() {
            return f64::NAN;
        }
        let bytes: u64 = self.processes.iter().map(|process| process.memory().peak).sum();
        bytes as f64 / f64::from(1 << 20)
    }

    /// Waits until a small GET is answered.
    async fn answers(&self, directory: &Path) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match raw::status(self.plain, "/bench/small").await {
                Ok(200) => return Ok(()),
                answer if Instant::now() > until => {
                    let directory = directory.display();
                    return Err(format!(
                        "{} does not answer: {answer:?}; logs stand in {directory}",
                        self.name
                    ));
                }
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Makes a directory that is not there yet.
fn new_directory(below: &Path, name: &str) -> Result<std::path::PathBuf, Failure> {
    for number in 0.. {
        let directory = below.join(format!("{name}-{number}"));
        match std::fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("{}: {error}", directory.display())),
        }
    }
    Err("no name is left".to_owned())
}

fn write(directory: &Path, name: &str, text: &str) -> Result<std::path::PathBuf, Failure> {
    let file = directory.join(name);
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}
