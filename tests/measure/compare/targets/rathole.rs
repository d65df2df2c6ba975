//! rathole: its server and its client, with plain TCP between them.

use std::path::Path;

use tokio::process::Command;

use super::{Server, TOKEN, write};
use crate::{
    addr,
    process::{Failure, Process},
    tools,
};

pub(super) async fn start(directory: &Path, to: Server) -> Result<(Server, Vec<Process>), Failure> {
    let control = addr::free().await;
    let at = Server {
        plain: addr::free().await,
        calls: addr::free().await,
    };
    let server = format!(
        "[server]\nbind_addr = \"{control}\"\ndefault_token = \"{TOKEN}\"\n\
         [server.services.plain]\nbind_addr = \"{}\"\nnodelay = true\n\
         [server.services.calls]\nbind_addr = \"{}\"\nnodelay = true\n",
        at.plain, at.calls
    );
    let client = format!(
        "[client]\nremote_addr = \"{control}\"\ndefault_token = \"{TOKEN}\"\nretry_interval = 1\n\
         [client.services.plain]\nlocal_addr = \"{}\"\nnodelay = true\n\
         [client.services.calls]\nlocal_addr = \"{}\"\nnodelay = true\n",
        to.plain, to.calls
    );
    let server = run("server", directory, &server)?;
    let client = run("client", directory, &client)?;
    Ok((at, vec![server, client]))
}

fn run(role: &str, directory: &Path, config: &str) -> Result<Process, Failure> {
    let config = write(directory, &format!("{role}.toml"), config)?;
    let program = tools::find("rathole").ok_or("rathole is not installed")?;
    let mut command = Command::new(program);
    command
        .env("RUST_LOG", "warn")
        .stdout(std::process::Stdio::null());
    Process::start(role, directory, command.arg(format!("--{role}")).arg(config))
}
