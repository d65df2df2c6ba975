//! The programs that make load, and what they print.

pub(crate) mod curl;
pub(crate) mod h2load;
pub(crate) mod wrk;

use std::{env, path::PathBuf, process::Stdio};

use tokio::process::Command;

use crate::process::Failure;

/// Where a program is that users have installed; also in the directories of administrators' programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(more)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Runs a program to its end, and gives what it has printed. What it says of errors goes into the failure.
async fn run(command: &mut Command, also_right: Option<i32>) -> Result<String, Failure> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{program} cannot be started: {error}"))?;
    if !output.status.success() && (also_right.is_none() || output.status.code() != also_right) {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}: {}", output.status, errors.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The number in front of a text such as `12.5k` or `1234 requests`, with its unit.
fn leading(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}
