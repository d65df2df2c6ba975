//! The operator's gateway and agent, from files of their own.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::process::Command;
use tunnel_tests::client::{Client, Version};

use crate::program::{Running, program};

/// A directory for the files of one test, which goes with the value.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("programs-{}-{number}", std::process::id());
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("the target directory is ours");
        Self(directory)
    }

    /// The path of a file, which need not be there.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("cargo knows it").to_owned()
    }

    /// What stands in a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("it is there")
    }

    /// Writes a file, and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).expect("the target directory is ours");
        self.path(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The file of a gateway with the group `web`, and these rules.
pub(crate) fn gateway_file(rules: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
lame_duck: 1ms
agents:
  listen: 127.0.0.1:0
  tokens:
    - name: web-agents
      token_env: TUNNEL_TOKEN
      groups: [web]
rules:
{rules}"
    )
}

/// Every request goes to the group `web`.
pub(crate) const TO_WEB: &str = "  - id: web\n    group: web\n";

/// The file of an agent with the group `web`, in front of this upstream.
pub(crate) fn agent_file(gateway: SocketAddr, upstream: &str) -> String {
    format!(
        "gateway: http://{gateway}
id: web-1
groups: [web]
token_env: TUNNEL_TOKEN
upstream: {upstream}
"
    )
}

/// A gateway that is ready.
pub(crate) struct RunningGateway {
    pub(crate) program: Running,
    pub(crate) listen: SocketAddr,
    pub(crate) agents: SocketAddr,
    /// The port of the admin interface, if the file has it.
    pub(crate) admin: Option<SocketAddr>,
}

impl RunningGateway {
    /// Starts a program that prints the usual line when its ports are open.
    pub(crate) async fn start(name: &str, arguments: &[&str]) -> Self {
        Self::of(program(name, arguments)).await
    }

    /// The same, with more that was set before.
    pub(crate) async fn of(command: Command) -> Self {
        let mut program = Running::start(command);
        let ready = program.line("ready listen=").await;
        let (ready, admin) = match ready.split_once(" admin=") {
            Some((ready, admin)) => (ready, Some(admin.parse().expect("an address"))),
            None => (&*ready, None),
        };
        let (listen, agents) = ready.split_once(" agents=").expect("two addresses");
        Self {
            program,
            listen: listen.parse().expect("an address"),
            agents: agents.parse().expect("an address"),
            admin,
        }
    }
}

/// A gateway and an agent, connected.
pub(crate) struct Pair {
    pub(crate) gateway: RunningGateway,
    pub(crate) agent: Running,
    _files: Files,
}

impl Pair {
    /// Starts both, with these rules and this upstream.
    pub(crate) async fn start(rules: &str, upstream: &str) -> Self {
        let files = Files::new();
        let file = files.write("gateway.yaml", &gateway_file(rules));
        let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let file = files.write("agent.yaml", &agent_file(gateway.agents, upstream));
        let mut agent = Running::start(program("agent", &["--config", &file]));
        let ready = agent.line("ready ").await;
        assert_eq!(ready, format!("agent=web-1 gateway=http://{}", gateway.agents));
        Self {
            gateway,
            agent,
            _files: files,
        }
    }
}

/// The status and the text that a GET gets, on a connection of its own.
pub(crate) async fn get(gateway: SocketAddr, path: &str) -> (u16, String) {
    let mut client = Client::connect(Version::Http1, gateway).await;
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = client.send(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("a text"))
}
