//! `wrk`: GETs over connections that are kept.

use std::net::SocketAddr;

use tokio::process::Command;

use super::{leading, run};
use crate::{process::Failure, targets::AUTHORIZATION};

/// What wrk has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrk {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

/// Asks for the small body over so many connections, from one thread.
///
/// # Errors
///
/// An answer was not 2xx, a connection failed, or nothing came.
pub(crate) async fn wrk(to: SocketAddr, connections: usize, seconds: u64) -> Result<Wrk, Failure> {
    let mut command = Command::new("wrk");
    command
        .args(["--threads", "1", "--latency", "--timeout", "10s"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .args(["--header", &format!("authorization: {AUTHORIZATION}")])
        .arg(format!("http://{to}/bench/small"));
    parse(&run(&mut command, None).await?)
}

fn parse(text: &str) -> Result<Wrk, Failure> {
    for wrong in ["Non-2xx", "Socket errors"] {
        if let Some(line) = text.lines().find(|line| line.contains(wrong)) {
            return Err(format!("wrk: {}", line.trim()));
        }
    }
    let after = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
    let read = || {
        let requests = text.lines().find(|line| line.contains(" requests in "))?;
        Some(Wrk {
            requests: leading(requests)?.0,
            per_second: leading(after("Requests/sec:")?)?.0,
            p50: microseconds(after("50%")?)?,
            p99: microseconds(after("99%")?)?,
        })
    };
    read().ok_or_else(|| format!("wrk printed something unknown:\n{text}"))
}

fn microseconds(text: &str) -> Option<f64> {
    let (number, unit) = leading(text)?;
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(number * factor)
}
