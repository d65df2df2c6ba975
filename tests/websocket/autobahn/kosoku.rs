//! The program that runs the cases, and its verdicts.

use std::{
    collections::BTreeMap,
    env, fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Names the program.
const PROGRAM: &str = "KOSOKU";

/// The program.
pub(super) struct Kosoku(PathBuf);

/// The program as a server. It is killed when the value is dropped.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    child: Child,
    reports: PathBuf,
}

impl Kosoku {
    /// The one of the environment.
    pub(super) fn find(test: &str) -> Option<Self> {
        let program = env::var_os(PROGRAM);
        if program.is_none() {
            println!("{test}: skipped, since {PROGRAM} does not name kosoku (.ci/websocket installs it)");
        }
        program.map(|program| Self(program.into()))
    }

    fn command(&self, mode: &str, name: &str, arguments: &[&str]) -> (Command, PathBuf) {
        let reports = Path::new(env!("CARGO_TARGET_TMPDIR")).join("autobahn").join(name);
        // Those of an earlier run.
        let _ = std::fs::remove_dir_all(&reports);
        let mut command = Command::new(&self.0);
        command
            .args(["-m", mode, "-o"])
            .arg(&reports)
            .args(arguments)
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        (command, reports)
    }

    /// Runs the cases against a server.
    pub(super) async fn client(&self, addr: SocketAddr, name: &str, cases: &[&str]) -> Totals {
        let (mut command, reports) = self.command("fuzzingclient", name, cases);
        let output = command
            .args(["-p", "4", &format!("ws://{addr}")])
            .output()
            .await
            .unwrap_or_else(|error| panic!("{PROGRAM} does not run: {error}"));
        print!("{}", String::from_utf8_lossy(&output.stderr));
        Totals::read(&reports)
    }

    /// Serves the cases.
    pub(super) async fn server(&self, name: &str, cases: &[&str]) -> Server {
        let (mut command, reports) = self.command("fuzzingserver", name, cases);
        let mut child = command
            .arg("127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{PROGRAM} does not run: {error}"));
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let line = lines.next_line().await.expect("text").expect("the server starts");
        let (_, addr) = line.split_once("ws://").expect("it tells its address");
        let addr = addr.trim().parse().expect("an address");
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                println!("{line}");
            }
        });
        Server { addr, child, reports }
    }
}

impl Server {
    /// The verdicts, when the client has asked for them.
    pub(super) async fn totals(&mut self) -> Totals {
        self.child.wait().await.expect("it is our child");
        Totals::read(&self.reports)
    }
}

/// How often there was each verdict, of the messages and of the close.
#[derive(Debug)]
pub(super) struct Totals(BTreeMap<(String, String), usize>);

impl Totals {
    /// Reads the report's index. Each case has its two verdicts on two lines, of which the messages' comes first.
    fn read(reports: &Path) -> Self {
        let index = reports.join("index.json");
        let index =
            std::fs::read_to_string(&index).unwrap_or_else(|error| panic!("{}: {error}", index.display()));
        let verdict = |line: &str, key: &str| {
            let rest = line.trim().strip_prefix(&format!("\"{key}\": \""))?;
            Some(rest.trim_end_matches(['"', ',']).to_owned())
        };
        let mut totals = BTreeMap::new();
        let mut messages = None;
        for line in index.lines() {
            messages = verdict(line, "behavior").or(messages);
            if let (Some(close), Some(messages)) = (verdict(line, "behaviorClose"), &messages) {
                *totals.entry((messages.clone(), close)).or_default() += 1;
            }
        }
        Self(totals)
    }

    /// All cases that ran.
    pub(super) fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// Those that passed, by Autobahn's own measure.
    pub(super) fn passed(&self) -> usize {
        let is_good = |verdict: &str| ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&verdict);
        let good = self
            .0
            .iter()
            .filter(|((messages, close), _)| is_good(messages) && is_good(close));
        good.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}:", self.passed(), self.all())?;
        for ((messages, close), count) in &self.0 {
            write!(f, " {count} {messages}/{close}")?;
        }
        Ok(())
    }
}
