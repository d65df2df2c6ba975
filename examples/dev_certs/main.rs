//! Makes a CA and certificates for trying TLS on one's own machine.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin dev-certs -- --out dev-certs --host localhost
//! ```
//!
//! The directory then holds
//!
//! | file | for |
//! | --- | --- |
//! | `ca.pem` | everybody who verifies somebody: `ca:` in the agent's file, `curl --cacert` |
//! | `server.pem`, `server.key` | the gateway's ports: `certificates:` |
//! | `agent.pem`, `agent.key` | an agent, or another client: `client_certificate:`, `curl --cert` |
//!
//! and each key can be read by its owner only. Nothing is written over: an old directory goes first. The CA's own key is thrown
//! away, so it can sign nothing more; whoever believes it believes these certificates. They are valid for `--days`, and are
//! for development: do not put them before the world.
//!
//! Exit codes: 0 after all was written, 1 if a name is none or a file is there already, 2 for a wrong command line.

mod issue;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use tunnel_core::BoxError;
use tunnel_examples::program;

use crate::issue::{Ca, Issued};

/// Makes a CA and certificates for development.
#[derive(Debug, Parser)]
struct Options {
    /// The directory for the files; it is made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "dev-certs")]
    out: PathBuf,
    /// A name or an IP address of the server; may stand several times.
    #[arg(long = "host", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// The agent's name, which becomes the URI `spiffe://tunnel.dev/agent/NAME` in its certificate.
    #[arg(long, value_name = "NAME", default_value = "dev")]
    agent: String,
    /// How long the certificates are valid.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=825))]
    days: u16,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => program::fail("dev-certs", &*error),
    }
}

fn run(options: &Options) -> Result<(), BoxError> {
    let ca = Ca::new(options.days)?;
    let server = ca.server(&options.hosts)?;
    let agent = ca.agent(&options.agent)?;
    fs::create_dir_all(&options.out)?;
    write(&options.out, "ca.pem", &ca.pem, false)?;
    for (name, Issued { certificate, key }) in [("server", server), ("agent", agent)] {
        write(&options.out, &format!("{name}.pem"), &certificate, false)?;
        write(&options.out, &format!("{name}.key"), &key, true)?;
    }
    let (days, hosts) = (options.days, options.hosts.join(", "));
    println!("{}: valid for {days} days, for {hosts}", options.out.display());
    Ok(())
}

fn write(directory: &Path, name: &str, text: &str, is_secret: bool) -> io::Result<()> {
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = is_secret;
    let written = options
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
