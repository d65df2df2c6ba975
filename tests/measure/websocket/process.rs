//! A program that runs beside this one.

use std::{env, fs, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// A program. It is killed when the value is dropped.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
}

impl Process {
    /// This program in another role, and the words that it says when it is ready.
    pub(crate) async fn role(name: &'static str, arguments: &[String]) -> (Self, Vec<String>) {
        let program = env::current_exe().expect("a program has a path");
        let mut command = Command::new(program);
        command.arg(name).args(arguments).stdout(Stdio::piped());
        let mut process = Self::start(name, &mut command).expect("it is this program");
        let stdout = process.child.stdout.take().expect("it is piped");
        let line = BufReader::new(stdout).lines().next_line().await;
        let line = line.expect("text").expect("it tells when it is ready");
        (process, line.split(' ').map(str::to_owned).collect())
    }

    /// Any program.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> std::io::Result<Self> {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        Ok(Self { name, child })
    }

    /// Its resident memory, in KiB.
    pub(crate) fn resident(&self) -> i64 {
        let id = self.child.id().expect("it has not been waited for");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.expect("Linux tells it")
    }
}
