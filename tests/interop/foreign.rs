//! grpcio as a client, as a server, and as both; and what its users see of the tunnel's own errors.

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use prost::Message as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
};
use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{GROUP, Tunnel, address, group};
use tunnel_transport::Upstream;

use crate::{
    cases::CASES,
    server::Server,
    world::{PLACES, Place, World, settled, within},
};

/// Names the Python to take.
const PYTHON: &str = "INTEROP_PYTHON";
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");

/// A Python with grpcio.
struct Python {
    program: PathBuf,
    descriptors: PathBuf,
}

/// A script that runs. It is killed when the value is dropped.
struct Script {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Python {
    /// The one of the environment.
    fn find(test: &str) -> Option<Self> {
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
        })
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Script {
        let mut child = Command::new(&self.program)
            .arg(Path::new(HERE).join("python").join(script))
            .arg(&self.descriptors)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
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
    async fn serve(&self) -> (Script, SocketAddr) {
        let mut server = self.run("server.py", &[]);
        let line = server.line().await.expect("the server starts");
        let port = line.strip_prefix("port ").and_then(|port| port.parse().ok());
        (server, SocketAddr::from(([127, 0, 0, 1], port.expect("a port"))))
    }

    /// How each of these cases went, and of all if none is named.
    async fn cases(&self, addr: SocketAddr, names: &[&str]) -> Results {
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
        // It is in a directory for such files.
        let _ = std::fs::remove_file(&self.descriptors);
    }
}

impl Script {
    async fn line(&mut self) -> Option<String> {
        self.lines.next_line().await.expect("a text")
    }
}

type Results = BTreeMap<String, Result<(), String>>;

/// All cases with tonic's client.
async fn tonic(addr: SocketAddr) -> Results {
    let mut results = Results::new();
    for (name, case) in CASES {
        // A task keeps a panic to itself.
        let result = tokio::spawn(case(addr)).await;
        results.insert((*name).to_owned(), result.map_err(|error| error.to_string()));
    }
    results
}

/// A grpcio server, and the way to it.
struct Foreign {
    addr: SocketAddr,
    tunnel: Option<Tunnel>,
    _server: Script,
}

impl Foreign {
    async fn new(python: &Python, place: Place) -> Self {
        let (server, addr) = python.serve().await;
        let mut foreign = Self {
            addr,
            tunnel: None,
            _server: server,
        };
        if place != Place::Direct {
            let upstream = Upstream::h2c(format!("http://{addr}")).expect("an address");
            let tunnel = Tunnel::serve(upstream).await;
            foreign.addr = tunnel.addr;
            foreign.tunnel = Some(tunnel);
        }
        foreign
    }

    async fn settled(&self) {
        if let Some(tunnel) = &self.tunnel {
            settled(tunnel).await;
        }
    }
}

#[tokio::test]
async fn every_case_between_tonic_and_grpcio() {
    let Some(python) = Python::find("cases") else {
        return;
    };
    let mut table = Table::default();
    let tonics: Vec<_> = CASES.iter().map(|(name, _)| *name).collect();
    for place in PLACES {
        within("tonic's server", async {
            let world = World::new(place).await;
            table.add("tonic", "tonic", place, tonic(world.addr).await);
            world.settled().await;
            // tonic's server has no decompressor here.
            table.add("grpcio", "tonic", place, python.cases(world.addr, &tonics).await);
            world.settled().await;
        })
        .await;
    }
    for place in [Place::Direct, Place::Upstream] {
        within("grpcio's server", async {
            let foreign = Foreign::new(&python, place).await;
            table.add("tonic", "grpcio", place, tonic(foreign.addr).await);
            foreign.settled().await;
            table.add("grpcio", "grpcio", place, python.cases(foreign.addr, &[]).await);
            foreign.settled().await;
        })
        .await;
    }
    table.print();
    table.assert_ok();
}

/// Cases down, client and server across.
#[derive(Default)]
struct Table(Vec<(String, Results)>);

impl Table {
    fn add(&mut self, client: &str, server: &str, place: Place, results: Results) {
        assert!(results.len() >= CASES.len(), "{client} > {server}: {results:?}");
        let way = match place {
            Place::Direct => "direct",
            Place::Agent => "in the agent",
            Place::Upstream => "tunnel",
        };
        self.0.push((format!("{client} > {server}, {way}"), results));
    }

    fn print(&self) {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        println!("| case | {} |", names.join(" | "));
        println!("| --- |{}", " --- |".repeat(names.len()));
        let longest = self
            .0
            .iter()
            .map(|(_, results)| results)
            .max_by_key(|results| results.len());
        for case in longest.into_iter().flat_map(|results| results.keys()) {
            let row = self.0.iter().map(|(_, results)| match results.get(case) {
                Some(Ok(())) => "ok",
                Some(Err(_)) => "FAILED",
                None => "-",
            });
            println!("| {case} | {} |", row.collect::<Vec<_>>().join(" | "));
        }
    }

    fn assert_ok(&self) {
        let failed: Vec<_> = self
            .0
            .iter()
            .flat_map(|(name, results)| results.iter().map(move |(case, result)| (name, case, result)))
            .filter(|(_, _, result)| result.is_err())
            .collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

/// What makes a call fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NoRule,
    NoAgent,
    RefusedUpstream,
    LargeHead,
    Timeout,
    TimeoutAfterHead,
    AgentKilled,
    AgentKilledAfterHead,
}

/// The fault, and what a user of grpcio sees: code, cause and details.
const SEEN: [(Fault, &str); 8] = [
    (Fault::NoRule, "NOT_FOUND no-route no matching rule"),
    (Fault::NoAgent, "UNAVAILABLE no-agent no healthy agent"),
    (Fault::RefusedUpstream, "UNAVAILABLE upstream "),
    (Fault::LargeHead, "RESOURCE_EXHAUSTED head-too-large "),
    (Fault::Timeout, "DEADLINE_EXCEEDED deadline "),
    (Fault::TimeoutAfterHead, "DEADLINE_EXCEEDED deadline "),
    (Fault::AgentKilled, "UNAVAILABLE agent-lost "),
    (Fault::AgentKilledAfterHead, "UNAVAILABLE agent-lost "),
];

#[tokio::test]
async fn what_grpcio_sees_of_our_errors() {
    let Some(python) = Python::find("errors") else {
        return;
    };
    println!("| fault | code | cause | details |\n| --- | --- | --- | --- |");
    for (fault, seen) in SEEN {
        let outcome = within(&format!("{fault:?}"), cause(&python, fault)).await;
        let mut words = outcome.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        println!("| {fault:?} | {} | {} | {} |", word(), word(), word());
        assert!(outcome.starts_with(seen), "{fault:?}: {outcome}");
    }
}

/// Makes a call fail in this way, and gives what the client saw.
async fn cause(python: &Python, fault: Fault) -> String {
    match fault {
        Fault::NoRule => {
            let rule = Rule::group("other", group(GROUP)).path_prefix("/other");
            let tunnel = Tunnel::builder().rules([rule]).start().await;
            Outcome::start(python, tunnel.addr, "unary").end().await
        }
        Fault::NoAgent => {
            let tunnel = Tunnel::builder().start().await;
            Outcome::start(python, tunnel.addr, "unary").end().await
        }
        Fault::RefusedUpstream => {
            let tunnel = Tunnel::serve(refusing().await).await;
            Outcome::start(python, tunnel.addr, "unary").end().await
        }
        Fault::LargeHead => {
            let world = World::new(Place::Agent).await;
            Outcome::start(python, world.addr, "large-head").end().await
        }
        Fault::Timeout => timeout(python, "hang").await,
        Fault::TimeoutAfterHead => timeout(python, "stream").await,
        Fault::AgentKilled => {
            let mut world = World::new(Place::Agent).await;
            let outcome = Outcome::start(python, world.addr, "hang");
            world.server.calls.running(1).await;
            world.kill_agent().await;
            outcome.end().await
        }
        Fault::AgentKilledAfterHead => {
            let mut world = World::new(Place::Agent).await;
            let mut outcome = Outcome::start(python, world.addr, "stream");
            assert_eq!(outcome.0.line().await.as_deref(), Some("first"));
            world.kill_agent().await;
            outcome.end().await
        }
    }
}

/// An upstream at a port where nobody listens.
async fn refusing() -> Upstream {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let addr = address(&listener);
    drop(listener);
    Upstream::h2c(format!("http://{addr}")).expect("an address")
}

/// A rule's timeout passes.
async fn timeout(python: &Python, kind: &str) -> String {
    let rule = Rule::group("all", group(GROUP)).timeout(Duration::from_secs(1));
    let world = World::with(Place::Agent, Server::new(), Tunnel::builder().rules([rule])).await;
    let outcome = Outcome::start(python, world.addr, kind).end().await;
    world.settled().await;
    outcome
}

/// A call that is to fail.
struct Outcome(Script);

impl Outcome {
    fn start(python: &Python, addr: SocketAddr, kind: &str) -> Self {
        Self(python.run("client.py", &[&addr.to_string(), "outcome", kind]))
    }

    async fn end(mut self) -> String {
        loop {
            let line = self.0.line().await.expect("the client tells how it ended");
            if let Some(outcome) = line.strip_prefix("outcome ") {
                return outcome.to_owned();
            }
        }
    }
}
