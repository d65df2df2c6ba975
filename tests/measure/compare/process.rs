//! A program that runs beside this one.

use std::{
    fs::File,
    path::Path,
    process::{Command as Immediate, Stdio},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    time::{Instant, timeout},
};

use crate::proc_fs;

/// What can go wrong: a text for people.
pub(crate) type Failure = String;

/// How long a program may take to be ready.
const START: Duration = Duration::from_secs(10);

/// How long it may take to end: a gateway first tells its clients to go elsewhere.
const END: Duration = Duration::from_secs(10);

/// A program. It is ended when the value is dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    id: u32,
    child: Child,
    /// What prints into a closed pipe fails.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a program whose log goes to a file in `directory`.
    pub(crate) fn start(name: &str, directory: &Path, command: &mut Command) -> Result<Self, Failure> {
        let log = directory.join(format!("{name}.log"));
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|error| format!("{name} cannot be started: {error}"))?;
        let id = child
            .id()
            .ok_or("a process that has not been waited for has an id")?;
        Ok(Self {
            name: name.to_owned(),
            id,
            child,
            _stdout: None,
        })
    }

    /// The same for one that prints a line when it is ready: gives the line.
    pub(crate) async fn ready(
        name: &str,
        directory: &Path,
        command: &mut Command,
    ) -> Result<(Self, String), Failure> {
        let mut process = Self::start(name, directory, command.stdout(Stdio::piped()))?;
        let stdout = process.child.stdout.take().ok_or("it is piped")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = timeout(START, stdout.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(1..))) {
            return Err(format!(
                "{name} does not become ready: see {name}.log in {}",
                directory.display()
            ));
        }
        process._stdout = Some(stdout);
        Ok((process, line.trim_end().to_owned()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn memory(&self) -> proc_fs::Memory {
        proc_fs::memory(self.id)
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.runs() {
            return;
        }
        // Asked to end, a master of nginx takes its workers along, and a program that was built to be profiled writes its profile.
        let _ = Immediate::new("kill").arg(self.id.to_string()).status();
        let until = Instant::now() + END;
        while self.runs() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.start_kill();
    }
}
