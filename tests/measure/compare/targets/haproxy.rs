//! haproxy with two threads.

use std::path::Path;

use tokio::process::Command;

use super::{Server, write};
use crate::{
    addr,
    process::{Failure, Process},
    tools,
};

pub(super) async fn start(directory: &Path, to: Server) -> Result<(Server, Vec<Process>), Failure> {
    let at = Server {
        plain: addr::free().await,
        calls: addr::free().await,
    };
    let config = write(directory, "haproxy.cfg", &config(at, to))?;
    let program = tools::find("haproxy").ok_or("haproxy is not installed")?;
    let mut command = Command::new(program);
    let process = Process::start("haproxy", directory, command.arg("-db").arg("-f").arg(config))?;
    Ok((at, vec![process]))
}

fn config(at: Server, to: Server) -> String {
    format!(
        "global
    nbthread 2
    maxconn 8000
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend plain-in
    bind {}
    default_backend plain
backend plain
    server one {}
frontend calls-in
    bind {} proto h2
    default_backend calls
backend calls
    server one {} proto h2
",
        at.plain, to.plain, at.calls, to.calls
    )
}
