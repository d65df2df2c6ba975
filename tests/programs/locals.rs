//! The ports of an agent: what they speak, how they change, and how they close.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    path::Path,
    sync::Arc,
};

use axum::{
    Router,
    extract::{WebSocketUpgrade, ws::WebSocket},
    routing::{any, get as on_get},
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Notify, Semaphore};
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tunnel_examples::{
    client::websocket,
    greeter::{GreetEachRequest, GreetRequest, GreeterClient, GreeterServer, Hello},
};
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    pki::{Ca, TlsClient},
    tunnel::{APART, address, listener},
    wait::within_limit,
};

use crate::{
    named::echoes,
    program::{Running, program},
    world::{Files, RunningGateway, get},
};

const OFTEN: &str = "reload: {interval: 10ms}\n";

/// Said when a file has taken effect.
const CHANGED: &str = "the configuration has changed";

/// A site, and a greeter, that only the gateway reaches; and an agent.
struct World {
    files: Files,
    gateway: RunningGateway,
    agent: Running,
    locals: Vec<SocketAddr>,
    site: Site,
}

struct Site {
    origin: Origin,
    greeter: SocketAddr,
    begun: Arc<Notify>,
    release: Arc<Semaphore>,
}

impl Site {
    async fn new() -> Self {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (entered, gate) = (begun.clone(), release.clone());
        let slow = move || async move {
            entered.notify_one();
            drop(gate.acquire().await);
            "done"
        };
        let echo = |mut socket: WebSocket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        };
        let app = Router::new()
            .route("/slow", on_get(slow))
            .route(
                "/socket",
                any(move |upgrade: WebSocketUpgrade| async move { upgrade.on_upgrade(echo) }),
            )
            .fallback(async || "from the site");
        let port = listener().await;
        let greeter = address(&port);
        let server = Server::builder().add_service(GreeterServer::new(Hello));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(port)));
        Self {
            origin: Origin::http1(app).await,
            greeter,
            begun,
            release,
        }
    }

    fn gateway_file(&self, agents: &str, rules: &str) -> String {
        format!(
            "\
listen: 127.0.0.1:0
lame_duck: 1ms
upstreams:
  site: {{url: \"{}\"}}
  greeter: {{url: \"http://{}\", protocol: h2c}}
agents:
  listen: {agents}
  tokens: [{{name: web-agents, token_env: TUNNEL_TOKEN, groups: [web]}}]
  calls:
    rules:
      - {{id: greeter, grpc: {{service: greeter.v1.Greeter}}, upstream: greeter}}
{rules}
rules:
  - {{id: none, path: /none, respond: {{status: 404}}}}
{OFTEN}",
            self.origin.uri(),
            self.greeter
        )
    }
}

/// Everything goes to the site.
const TO_SITE: &str = "      - {id: site, upstream: site}";

fn agent_file(gateway: SocketAddr, ports: &str) -> String {
    format!("gateway: http://{gateway}\nid: web-1\ngroups: [web]\ntoken_env: TUNNEL_TOKEN\n{ports}{OFTEN}")
}

impl World {
    async fn new(files: Files, ports: &str) -> Self {
        let site = Site::new().await;
        let file = files.write("gateway.yaml", &site.gateway_file("127.0.0.1:0", TO_SITE));
        let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let file = files.write("agent.yaml", &agent_file(gateway.agents, ports));
        let mut agent = Running::start(program("agent", &["--config", &file]));
        let ready = agent.line("ready ").await;
        let (_, locals) = ready.split_once(" listen=").expect("it listens");
        let locals = locals
            .split(',')
            .map(|address| address.parse().expect("an address"));
        Self {
            locals: locals.collect(),
            files,
            gateway,
            agent,
            site,
        }
    }

    /// The agent's file says this of its ports from now on.
    async fn change(&mut self, ports: &str, times: usize) {
        let text = agent_file(self.gateway.agents, ports);
        let new = self.files.write("agent.yaml.new", &text);
        std::fs::rename(new, self.files.path("agent.yaml")).expect("the target directory is ours");
        self.agent.logged(CHANGED, times).await;
    }
}

fn from_site() -> (u16, String) {
    (200, "from the site".to_owned())
}

#[tokio::test]
async fn what_comes_to_a_port_is_logged() {
    let ports = "listen: 127.0.0.1:0\nmetrics: {}\naccess_log: {file: agent.log}\n";
    let world = World::new(Files::new(), ports).await;
    within_limit(async {
        assert_eq!(get(world.locals[0], "/any?secret").await, from_site());
        let log = world.files.path("agent.log");
        let line = loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            match text.split_once('\n') {
                Some((line, _)) => break line.to_owned(),
                None => tokio::task::yield_now().await,
            }
        };
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["path"], &line["status"]),
            (&"/any?redacted".into(), &200.into())
        );
        assert_eq!(line["request_id"].as_str().map(str::len), Some(36));
    })
    .await;
}

#[tokio::test]
async fn ports_speak_http_grpc_and_tls_each_within_its_limits() {
    let (files, ca) = (Files::new(), Ca::new("the agent's own"));
    let _ = ca
        .server(&["localhost"])
        .write(Path::new(&files.path("")), "local");
    let ports = "\
listen: 127.0.0.1:0
listeners:
  - name: secure
    listen: {address: 127.0.0.1:0, tls: {certificates: [{cert: local.pem, key: local.key}]}}
  - {name: hasty, listen: 127.0.0.1:0, timeouts: {whole: 50ms}}
limits: {uri_bytes: 100}
";
    let world = World::new(files, ports).await;
    within_limit(async {
        let [plain, secure, hasty] = world.locals[..] else {
            panic!("{:?}", world.locals)
        };
        assert_eq!(get(plain, "/any").await, from_site());
        assert_eq!(get(plain, &format!("/{}", "long".repeat(50))).await.0, 414);

        let channel = Endpoint::from_shared(format!("http://{plain}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut client = GreeterClient::new(channel);
        let request = GreetRequest {
            name: "Ada".to_owned(),
        };
        assert_eq!(
            client.greet(request).await.unwrap().into_inner().greeting,
            "hello Ada"
        );
        let names = ["Ada", "Bob"].map(|name| GreetEachRequest {
            name: name.to_owned(),
        });
        let greetings = client.greet_each(stream::iter(names)).await.unwrap().into_inner();
        let greetings: Vec<_> = greetings
            .map(|greeting| greeting.unwrap().greeting)
            .collect()
            .await;
        assert_eq!(greetings, ["hello Ada", "hello Bob"]);

        for alpn in ["http/1.1", "h2"] {
            let client = TlsClient::new(&ca).offering(&[alpn]);
            let answer = client.get(secure, "localhost").await.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), &*answer.text),
                (200, "from the site"),
                "{alpn}"
            );
        }

        assert_eq!(get(hasty, "/slow").await.0, 504);
        let mut socket = websocket(plain, "/socket").await.unwrap();
        assert!(echoes(&mut socket, "hello").await);
    })
    .await;
}

#[tokio::test]
async fn ports_come_and_go_and_change_with_the_file() {
    let apart = |taken: &StdListener| taken.local_addr().expect("an address");
    let taken = StdListener::bind((APART, 0)).expect("a port");
    let more = apart(&taken);
    drop(taken);
    let mut world = World::new(Files::new(), "listen: 127.0.0.1:0\n").await;
    within_limit(async {
        let first = world.locals[0];
        let mut socket = websocket(first, "/socket").await.unwrap();
        assert!(echoes(&mut socket, "before").await);

        let second = format!("listen: 127.0.0.1:0\nlisteners: [{{name: more, listen: \"{more}\"}}]\n");
        world.change(&second, 1).await;
        assert_eq!(get(more, "/any").await, from_site());
        assert_eq!(get(first, "/any").await, from_site());
        assert!(echoes(&mut socket, "while another one came").await);

        // The same addresses with other limits: what is open stays, and what comes has them.
        world
            .change(&format!("{second}limits: {{uri_bytes: 20}}\n"), 2)
            .await;
        for port in [first, more] {
            assert_eq!(get(port, "/any").await, from_site());
            assert_eq!(get(port, "/longer/than/that/may/be").await.0, 414);
        }
        assert!(echoes(&mut socket, "while its limits changed").await);

        world
            .change("listen: 127.0.0.1:0\nlimits: {uri_bytes: 20}\n", 3)
            .await;
        while tokio::net::TcpStream::connect(more).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(get(first, "/any").await, from_site());
        assert!(echoes(&mut socket, "still").await);
    })
    .await;
}

#[tokio::test]
async fn rules_for_agents_change_with_the_gateways_file() {
    let mut world = World::new(Files::new(), "listen: 127.0.0.1:0\n").await;
    within_limit(async {
        let local = world.locals[0];
        let mut socket = websocket(local, "/socket").await.unwrap();
        assert!(echoes(&mut socket, "before").await);
        let agents = world.gateway.agents;
        let mut change = async |text: String, times| {
            // The port stands in the file as the system has chosen it.
            let new = world.files.write(
                "gateway.yaml.new",
                &text.replace(&agents.to_string(), "127.0.0.1:0"),
            );
            std::fs::rename(new, world.files.path("gateway.yaml")).expect("the target directory is ours");
            world.gateway.program.logged(CHANGED, times).await;
        };
        let answer = "      - {id: answer, respond: {status: 200, body: nobody}}";
        change(world.site.gateway_file("127.0.0.1:0", answer), 1).await;
        assert_eq!(get(local, "/any").await, (200, "nobody".to_owned()));
        assert!(echoes(&mut socket, "after").await);

        let text = world.site.gateway_file("127.0.0.1:0", TO_SITE);
        let (before, rest) = text.split_once("  calls:\n").expect("calls");
        let (_, after) = rest.split_once("rules:\n  - {id: none").expect("rules");
        change(format!("{before}rules:\n  - {{id: none{after}"), 2).await;
        let (status, text) = get(local, "/any").await;
        assert!(
            status == 503 && text.contains("takes no requests from agents"),
            "{text}"
        );
        assert!(echoes(&mut socket, "still").await);
    })
    .await;
}

#[tokio::test]
async fn what_a_port_was_asked_is_answered_before_the_session_goes() {
    let world = World::new(Files::new(), "listen: 127.0.0.1:0\nlame_duck: 300ms\n").await;
    within_limit(async {
        let local = world.locals[0];
        let slow = tokio::spawn(get(local, "/slow"));
        world.site.begun.notified().await;
        world.agent.signal("TERM");
        // A lame duck takes what comes, and says that it goes.
        let mut client = Client::connect(Version::Http1, local).await;
        loop {
            let answer = client.get("/any").await;
            assert_eq!(answer.status(), 200);
            if answer
                .headers()
                .get("connection")
                .is_some_and(|value| value == "close")
            {
                break;
            }
        }
        while tokio::net::TcpStream::connect(local).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!slow.is_finished());
        world.site.release.add_permits(1);
        assert_eq!(slow.await.expect("no panic"), (200, "done".to_owned()));
        let ended = world.agent.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    })
    .await;
}
