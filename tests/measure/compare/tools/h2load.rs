//! `h2load`: unary calls of gRPC over HTTP/2.

use std::{net::SocketAddr, path::Path};

use tokio::process::Command;

use super::{leading, run};
use crate::{process::Failure, targets::AUTHORIZATION};

/// What h2load has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    pub(crate) done: f64,
    pub(crate) per_second: f64,
    /// The mean, in microseconds; h2load prints no percentiles.
    pub(crate) mean: f64,
}

/// Calls with the message that stands in a file, over 4 connections with 25 streams each.
///
/// # Errors
///
/// A call failed, or its status was not 2xx.
pub(crate) async fn h2load(to: SocketAddr, message: &Path, seconds: u64) -> Result<Calls, Failure> {
    let mut command = Command::new("h2load");
    command
        .args([
            "--clients",
            "4",
            "--max-concurrent-streams",
            "25",
            "--threads",
            "1",
        ])
        .args(["--duration", &seconds.to_string()])
        .args([
            "--header",
            "content-type: application/grpc",
            "--header",
            "te: trailers",
        ])
        .args(["--header", &format!("authorization: {AUTHORIZATION}")])
        .arg("--data")
        .arg(message)
        .arg(format!("http://{to}/bench.Echo/Unary"));
    parse(&run(&mut command, None).await?)
}

fn parse(text: &str) -> Result<Calls, Failure> {
    let line = |start: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(start))
            .map(str::trim)
    };
    let part = |line: &str, end: &str| {
        let part = line.split(',').find_map(|part| part.trim().strip_suffix(end));
        Some(leading(part?)?.0)
    };
    let read = || {
        let requests = line("requests:")?;
        let status = line("status codes:")?;
        let wrong = [
            part(requests, " failed")?,
            part(requests, " errored")?,
            part(requests, " timeout")?,
            part(status, " 3xx")?,
            part(status, " 4xx")?,
            part(status, " 5xx")?,
        ];
        let calls = Calls {
            done: part(requests, " succeeded")?,
            per_second: part(line("finished in")?, " req/s")?,
            mean: time(line("time for request:")?.split_whitespace().nth(2)?)?,
        };
        Some((calls, wrong.iter().sum::<f64>()))
    };
    match read() {
        Some((calls, 0.0)) if calls.done > 0.0 => Ok(calls),
        Some(_) => Err(format!(
            "h2load: {}; {}",
            line("requests:").unwrap_or(""),
            line("status codes:").unwrap_or("")
        )),
        None => Err(format!("h2load printed something unknown:\n{text}")),
    }
}

fn time(text: &str) -> Option<f64> {
    let (number, unit) = leading(text)?;
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number * factor)
}
