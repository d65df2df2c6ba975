//! A Python that has grpcio, and what it runs.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use prost::Message as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::table::Results;

/// Names the Python to take.
const PYTHON: &str = "INTEROP_PYTHON";
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");

/// A Python with grpcio.
pub(super) struct Python {
    program: PathBuf,
    descriptors: PathBuf,
    /// Whom clients believe, if they speak TLS.
    ca: Option<PathBuf>,
}

/// A script that runs. It is killed when the value is dropped.
pub(super) struct Script {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Python {
    /// The one of the environment.
    pub(super) fn find(test: &str) -> Option<Self> {
        let Some(program) = env::var_os(PYTHON) else {
            println!(
                "{test}: skipped, since {PYTHON} does not name a Python with grpcio (.ci/interop makes one)"
            );
            return None;
        };
        let root = Path::new(HERE).join("proto");
        let files = protox::compile(["interop/v1/interop.proto"], [root]).expect("the proto is right");
        let descriptors = format!("interop-{}-{test}.fds.bin", std::process::id());
        let descriptors = Path::new(env!("CARGO_TARGET_TMPDIR")).join(descriptors);
        std::fs::write(&descriptors, files.encode_to_vec()).expect("the directory is there");
        Some(Self {
            program: program.into(),
            descriptors,
            ca: None,
        })
    }

    /// The same, whose clients speak TLS and believe the CA with this certificate.
    pub(super) fn believing(mut self, pem: &str) -> Self {
        let file = self.descriptors.with_extension("pem");
        std::fs::write(&file, pem).expect("the directory is there");
        self.ca = Some(file);
        self
    }

    pub(super) fn run(&self, script: &str, arguments: &[&str]) -> Script {
        let mut child = Command::new(&self.program)
            .arg(Path::new(HERE).join("python").join(script))
            .arg(&self.descriptors)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.ca.as_ref().map(|file| ("INTEROP_CA", file)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{PYTHON} does not run: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        Script {
            lines: BufReader::new(stdout).lines(),
            _child: child,
        }
    }

    /// The server, and where it listens.
    pub(super) async fn serve(&self) -> (Script, SocketAddr) {
        let mut server = self.run("server.py", &[]);
        let line = server.line().await.expect("the server starts");
        let port = line.strip_prefix("port ").and_then(|port| port.parse().ok());
        (server, SocketAddr::from(([127, 0, 0, 1], port.expect("a port"))))
    }

    /// How each of these cases went, and of all if none is named.
    pub(super) async fn cases(&self, addr: SocketAddr, names: &[&str]) -> Results {
        let addr = addr.to_string();
        let mut client = self.run("client.py", &[&[&addr, "cases"], names].concat());
        let mut results = Results::new();
        while let Some(line) = client.line().await {
            let (result, rest) = line.split_once(' ').expect("a line of two words");
            let (name, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let result = if result == "ok" {
                Ok(())
            } else {
                Err(why.to_owned())
            };
            results.insert(name.to_owned(), result);
        }
        results
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // They are in a directory for such files.
        for file in self.ca.iter().chain([&self.descriptors]) {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Script {
    pub(super) async fn line(&mut self) -> Option<String> {
        self.lines.next_line().await.expect("a text")
    }
}
