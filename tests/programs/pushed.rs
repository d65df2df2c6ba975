//! What a gateway pushes to its agents.

use tunnel_examples::client::websocket;
use tunnel_tests::wait::within_limit;

use crate::{
    named::{echoes, origin},
    program::{Running, program},
    world::{Files, RunningGateway, TO_WEB, get},
};

/// What an agent logs when it has taken a configuration.
const TAKEN: &str = "the gateway's configuration is in force";
/// What a gateway logs then, and when an agent has not.
const RUNS: &str = "an agent runs its configuration";
const REFUSES: &str = "an agent refuses its configuration";

/// A gateway's file that pushes this to the agents of `web`.
fn pushing(push: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
agents:
  listen: 127.0.0.1:0
  tokens: [{{name: web-agents, token_env: TUNNEL_TOKEN, groups: [web]}}]
{push}rules:
{TO_WEB}reload: {{interval: 10ms}}
"
    )
}

fn upstream(url: &str) -> String {
    format!("  push: {{web: {{upstream: {{url: \"{url}\"}}}}}}\n")
}

struct World {
    files: Files,
    gateway: RunningGateway,
    agent: Running,
}

impl World {
    /// With an agent whose file has these keys, and takes what is on this machine.
    async fn new(push: &str, agent: &str) -> Self {
        let files = Files::new();
        let file = files.write("gateway.yaml", &pushing(push));
        let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let agent = run_agent(&files, &gateway, agent).await;
        Self {
            files,
            gateway,
            agent,
        }
    }

    /// Has the gateway push this, and waits for the agent's answer.
    async fn push(&mut self, push: &str, answer: &str, times: usize) {
        let new = self.files.write("new", &pushing(push));
        std::fs::rename(new, self.files.path("gateway.yaml")).expect("it is ours");
        self.gateway.program.logged(answer, times).await;
    }

    async fn text(&self, path: &str) -> String {
        let (status, text) = get(self.gateway.listen, path).await;
        if status == 200 { text } else { status.to_string() }
    }
}

async fn run_agent(files: &Files, gateway: &RunningGateway, keys: &str) -> Running {
    let text = format!(
        "gateway: http://{}
groups: [web]
token_env: TUNNEL_TOKEN
pushed: {{allow: [\"127.0.0.1\"], cache: last.yaml}}
{keys}",
        gateway.agents
    );
    let file = files.write("agent.yaml", &text);
    let mut agent = Running::start(program("agent", &["--config", &file]));
    agent.line("ready ").await;
    agent
}

#[tokio::test]
async fn an_agent_goes_by_what_its_gateway_says_and_what_is_open_stays() {
    let (one, two) = (origin("one").await, origin("two").await);
    within_limit(async {
        let mut world = World::new(&upstream(&one.uri()), "").await;
        world.agent.logged(TAKEN, 1).await;
        assert_eq!(world.text("/").await, "one");
        let mut socket = websocket(world.gateway.listen, "/socket").await.unwrap();
        assert!(echoes(&mut socket, "hello").await);

        world.push(&upstream(&two.uri()), RUNS, 2).await;
        assert_eq!(world.text("/").await, "two");
        assert!(echoes(&mut socket, "hello").await, "it is where it was");
        let routes = format!(
            "  push: {{web: {{routes: [{{path: /a, upstream: {{url: \"{}\"}}}}]}}}}\n",
            one.uri()
        );
        world.push(&routes, RUNS, 3).await;
        assert_eq!(
            (world.text("/a").await, world.text("/b").await),
            ("one".to_owned(), "502".to_owned())
        );
        // Nothing any more.
        world.push("", RUNS, 4).await;
        assert_eq!(world.text("/a").await, "502");
        assert!(echoes(&mut socket, "hello").await, "it is where it was");
    })
    .await;
}

#[tokio::test]
async fn nothing_can_be_pushed_that_the_agent_does_not_allow() {
    let one = origin("one").await;
    within_limit(async {
        let mut world = World::new(&upstream(&one.uri()), "").await;
        world.agent.logged(TAKEN, 1).await;
        for (count, url) in ["http://169.254.169.254", "unix:/run/docker.sock"]
            .into_iter()
            .enumerate()
        {
            world.push(&upstream(url), REFUSES, count + 1).await;
            assert_eq!(world.text("/").await, "one", "{url}");
        }
        let log = world.gateway.program.log();
        assert!(log.contains("169.254.169.254:80 is not allowed here"), "{log}");
        assert!(log.contains("unix:/run/docker.sock is not allowed here"), "{log}");
        // A name is looked up when it is dialled, and then its address is allowed.
        world
            .push(&upstream(&one.uri().replace("127.0.0.1", "localhost")), RUNS, 2)
            .await;
        assert_eq!(world.text("/").await, "one");
    })
    .await;
}

#[tokio::test]
async fn an_agents_own_rules_win_unless_they_are_forbidden() {
    let (own, pushed) = (origin("own").await, origin("pushed").await);
    within_limit(async {
        let keys = format!("routes: [{{path: /own, upstream: {{url: \"{}\"}}}}]\n", own.uri());
        let mut world = World::new(&upstream(&pushed.uri()), &keys).await;
        world.agent.logged(TAKEN, 1).await;
        assert_eq!(
            (world.text("/own").await, world.text("/").await),
            ("own".to_owned(), "pushed".to_owned())
        );
        let forbidden = upstream(&pushed.uri()).replace("{web: {", "{web: {own_rules: forbidden, ");
        world.push(&forbidden, RUNS, 2).await;
        assert_eq!(world.text("/own").await, "pushed");
    })
    .await;
}

#[tokio::test]
async fn an_agent_starts_with_the_last_good_configuration() {
    let one = origin("one").await;
    within_limit(async {
        let mut world = World::new(&upstream(&one.uri()), "").await;
        world.agent.logged(TAKEN, 1).await;
        world.push(&upstream("http://192.0.2.1"), REFUSES, 1).await;
        world.agent.signal("TERM");
        assert_eq!(world.agent.ended().await.code, Some(0));

        // A gateway that has nothing to push stands for one that is away.
        let file = world.files.write("silent.yaml", &pushing(""));
        let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let agent = run_agent(&world.files, &gateway, "").await;
        let log = agent.log();
        assert!(
            log.contains("the last configuration of the gateway is in force"),
            "{log}"
        );
        assert_eq!(get(gateway.listen, "/").await, (200, "one".to_owned()));
    })
    .await;
}
