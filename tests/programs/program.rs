//! A program that runs, what it prints, and how it ends.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Output, Stdio},
    sync::LazyLock,
};

use tokio::time::timeout;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
};
use tunnel_tests::wait::{LIMIT, within_limit};

/// The directory of the programs.
static BUILT: LazyLock<PathBuf> = LazyLock::new(build);

/// What agents and gateways of these tests share.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// One of the programs, with its arguments.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BUILT.join(name));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env("TUNNEL_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Builds the programs, beside this one.
fn build() -> PathBuf {
    let this = env::current_exe().expect("a program has a path");
    // TARGET/PROFILE/deps/programs-HASH
    let directory = this.ancestors().nth(2).expect("it stands in deps").to_owned();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = directory.parent().expect("it stands in a target directory");
    let status = StdCommand::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "tunnel-examples", "--bins"])
        .args(if cfg!(feature = "otel") {
            &["--features", "otel"][..]
        } else {
            &[]
        })
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the programs cannot be built: {status}");
    directory
}

/// Runs a program to its end. The programs are built before there is a future, so that no bound for a test counts that.
pub(crate) fn output(name: &str, arguments: &[&str]) -> impl Future<Output = Ended> + use<> {
    let mut command = program(name, arguments);
    async move {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().await.expect("it was built");
        let text = |bytes| String::from_utf8(bytes).expect("programs print UTF-8");
        Ended {
            code: status.code(),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs. It is killed when the value is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: watch::Receiver<String>,
    reader: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it was built");
        let stdout = child.stdout.take().expect("it is piped");
        let pipe = child.stderr.take().expect("it is piped");
        let (written, stderr) = watch::channel(String::new());
        Self {
            child,
            stdout: BufReader::new(stdout).lines(),
            reader: tokio::spawn(gather(pipe, written)),
            stderr,
        }
    }

    /// The rest of the next line of the standard output that begins with this.
    ///
    /// # Panics
    ///
    /// When the output ends before, or the line does not come.
    pub(crate) async fn line(&mut self, beginning: &str) -> String {
        within_limit(self.find(beginning)).await
    }

    async fn find(&mut self, beginning: &str) -> String {
        let mut others = Vec::new();
        while let Some(line) = self.stdout.next_line().await.expect("programs print UTF-8") {
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
            others.push(line);
        }
        let log = self.log();
        panic!("there is no line `{beginning}`: {others:?}\n{log}");
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.borrow().clone()
    }

    /// Waits until it has logged this so many times.
    ///
    /// # Panics
    ///
    /// When that does not come.
    pub(crate) async fn logged(&mut self, text: &str, times: usize) {
        let there = self.stderr.wait_for(|log| log.matches(text).count() >= times);
        if timeout(LIMIT / 2, there).await.is_err() {
            panic!("it does not log `{text}`:\n{}", self.log());
        }
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().expect("it has not been waited for");
        let status = StdCommand::new("sh")
            .args(["-c", &format!("kill -s {name} {id}")])
            .status();
        assert!(status.expect("there is a shell").success(), "{name}");
    }

    /// Waits for its end: the code, and the rest of what it printed.
    pub(crate) async fn ended(mut self) -> Ended {
        let mut stdout = String::new();
        while let Some(line) = self.stdout.next_line().await.expect("programs print UTF-8") {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let status = self.child.wait().await.expect("it is our child");
        self.reader.await.expect("it only reads");
        let stderr = self.stderr.borrow().clone();
        Ended {
            code: status.code(),
            stdout,
            stderr,
        }
    }
}

/// Reads as it comes, so that the program is never held up.
async fn gather(pipe: impl AsyncRead + Unpin, text: watch::Sender<String>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        text.send_modify(|text| {
            text.push_str(&line);
            text.push('\n');
        });
    }
}
