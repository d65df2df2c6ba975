//! The admin interface of programs that run, by the commands that ask it.

mod agent;
mod agents;
mod log;
mod ready;
mod refused;
mod reload;
mod revoke;
mod tables;
mod tls;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get as on_get};
use http::{Request, Response};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::{
    process::Command,
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::sleep,
};
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
};

use crate::{
    program::{Ended, Running, program},
    world::{Files, RunningGateway, agent_file, gateway_file},
};

const ADMIN_TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// The keys of both files.
const ADMIN: &str = "admin: {listen: 127.0.0.1:0, token_env: TUNNEL_ADMIN_TOKEN, open_probes: true}\nreload: {interval: 10ms}\n";

/// A program that knows the admin token.
fn knowing(name: &str, arguments: &[&str]) -> Command {
    let mut command = program(name, arguments);
    command
        .env("TUNNEL_ADMIN_TOKEN", ADMIN_TOKEN)
        .env_remove("TUNNEL_ADMIN");
    command
}

/// A gateway with an admin interface, an agent with another one, and a site behind it.
struct World {
    files: Files,
    gateway: RunningGateway,
    agent: Running,
    agent_admin: String,
    site: Site,
}

/// It says `quick`, and waits at `/slow`.
struct Site {
    origin: Origin,
    begun: Arc<Notify>,
    release: Arc<Semaphore>,
}

impl Site {
    async fn new() -> Self {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (entered, gate) = (begun.clone(), release.clone());
        let slow = move || async move {
            entered.notify_one();
            let _ = gate.acquire().await;
            "slow"
        };
        let app = Router::new()
            .route("/slow", on_get(slow))
            .fallback(|| async { "quick" });
        Self {
            origin: Origin::http1(app).await,
            begun,
            release,
        }
    }

    fn upstream(&self) -> String {
        format!("{{url: \"{}\"}}", self.origin.uri())
    }
}

impl World {
    /// With these rules, and keys of the gateway's file behind them.
    async fn new(rules: &str) -> Self {
        let (files, site) = (Files::new(), Site::new().await);
        let file = files.write("gateway.yaml", &(gateway_file(rules) + ADMIN));
        let gateway = RunningGateway::of(knowing("gateway", &["--config", &file])).await;
        let (agent, agent_admin) = Self::agent(&files, &gateway, &site).await;
        Self {
            files,
            gateway,
            agent,
            agent_admin,
            site,
        }
    }

    /// An agent that is connected, and where it is asked.
    async fn agent(files: &Files, gateway: &RunningGateway, site: &Site) -> (Running, String) {
        let file = files.write(
            "agent.yaml",
            &(agent_file(gateway.agents, &site.upstream()) + ADMIN),
        );
        let mut agent = Running::start(knowing("agent", &["--config", &file]));
        let ready = agent.line("ready ").await;
        let (_, admin) = ready.split_once(" admin=").expect("an address");
        (agent, format!("http://{admin}"))
    }

    /// Asks the gateway.
    async fn ask(&self, arguments: &[&str]) -> Ended {
        let admin = self.gateway.admin.expect("the file has it");
        command("gateway", &format!("http://{admin}"), arguments).await
    }

    /// Asks the agent.
    async fn ask_agent(&self, arguments: &[&str]) -> Ended {
        command("agent", &self.agent_admin, arguments).await
    }

    /// What a command of the gateway prints when all is well.
    async fn told(&self, arguments: &[&str]) -> String {
        well(self.ask(arguments).await)
    }

    /// The same, as JSON.
    async fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let text = self.told(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&text).expect(&text)
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, arguments: &[&str], is_so: impl Fn(&Ended) -> bool) -> Ended {
        within_limit(async {
            loop {
                let ended = self.ask(arguments).await;
                if is_so(&ended) {
                    return ended;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    /// A request to `/slow` that has reached the site.
    async fn slow(&self) -> JoinHandle<hyper::Result<Response<Incoming>>> {
        let mut client = Client::connect(Version::Http1, self.gateway.listen).await;
        let request = Request::get("/slow").body(Body::empty()).expect("a request");
        let answer = tokio::spawn(async move { client.send(request).await });
        within_limit(self.site.begun.notified()).await;
        answer
    }
}

/// Runs a command to its end.
async fn command(name: &str, admin: &str, arguments: &[&str]) -> Ended {
    let mut command = knowing(name, arguments);
    command.args(["--admin", admin, "--token-env", "TUNNEL_ADMIN_TOKEN"]);
    within_limit(Running::start(command).ended()).await
}

/// What it has printed, if it has ended well.
fn well(ended: Ended) -> String {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    ended.stdout
}

/// The words of the line that begins with this one.
fn row<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = lines.filter(|words| words.first() == Some(&first));
    found
        .next()
        .unwrap_or_else(|| panic!("no line begins with {first}:\n{text}"))
}
