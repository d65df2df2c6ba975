//! What the programs measure and log, as their files ask for it.

use std::{fs, net::SocketAddr};

use axum::{Router, routing::get as on_get};
use serde_json::Value;
use tokio::task::yield_now;
use tunnel_tests::{origin::Origin, wait::within_limit};

use crate::{
    program::{Running, program},
    world::{Files, TO_WEB, agent_file, gateway_file, get},
};

/// The keys of both files.
fn keys(log: &str) -> String {
    format!(
        "metrics: {{}}
access_log: {{file: {log}, headers: [user-agent]}}
admin: {{listen: \"127.0.0.1:0\"}}
"
    )
}

/// A gateway and an agent, and the admin ports of both.
struct Observed {
    files: Files,
    gateway: Running,
    agent: Running,
    listen: SocketAddr,
    gateway_admin: SocketAddr,
    agent_admin: SocketAddr,
}

impl Observed {
    async fn start(upstream: &str) -> Self {
        let files = Files::new();
        let text = gateway_file(TO_WEB) + &keys("gateway.log");
        let file = files.write("gateway.yaml", &text);
        let mut gateway = Running::start(program("gateway", &["--config", &file]));
        let ready = gateway.line("ready listen=").await;
        let (listen, rest) = ready.split_once(" agents=").expect("a port for agents");
        let (agents, admin) = rest.split_once(" admin=").expect("an admin port");
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (listen, agents, gateway_admin) = (address(listen), address(agents), address(admin));
        let text = agent_file(agents, &format!("{{url: \"{upstream}\"}}")) + &keys("agent.log");
        let file = files.write("agent.yaml", &text);
        let mut agent = Running::start(program("agent", &["--config", &file]));
        let ready = agent.line("ready ").await;
        let admin = ready.split_once(" admin=").expect("an admin port").1;
        Self {
            files,
            gateway,
            agent,
            listen,
            gateway_admin,
            agent_admin: address(admin),
        }
    }

    /// The lines of a log that are whole.
    fn lines(&self, log: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.files.path(log)).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("lines of JSON")
    }

    async fn stop(self) -> Files {
        self.agent.signal("TERM");
        assert_eq!(self.agent.ended().await.code, Some(0));
        self.gateway.signal("TERM");
        assert_eq!(self.gateway.ended().await.code, Some(0));
        self.files
    }
}

/// The value of a sample whose line begins with this.
fn sample(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.trim().parse().expect("a number")
}

#[tokio::test]
async fn the_admin_port_has_what_was_counted_and_the_logs_join() {
    let app = Router::new().route("/hello", on_get(|| async { "hello" }));
    let origin = Origin::http1(app).await;
    let observed = Observed::start(&origin.uri()).await;
    within_limit(async {
        for _ in 0..3 {
            assert_eq!(get(observed.listen, "/hello?token=secret").await.0, 200);
        }
        assert_eq!(get(observed.listen, "/none").await.0, 404);
        let (status, text) = get(observed.gateway_admin, "/metrics").await;
        assert_eq!(status, 200);
        let web = "role=\"gateway\",rule=\"web\",group=\"web\",upstream=\"\",protocol=\"http\"";
        let total = |status: &str| {
            let series = format!("tunnel_exchanges_total{{{web},status=\"{status}\"}}");
            sample(&text, &series)
        };
        assert_eq!((total("2xx"), total("4xx")), (3.0, 1.0));
        assert_eq!(
            sample(&text, "tunnel_sessions{role=\"gateway\",state=\"serving\"}"),
            1.0
        );
        assert_eq!(sample(&text, "tunnel_reader_blocked{role=\"gateway\"}"), 0.0);
        let (_, text) = get(observed.agent_admin, "/metrics").await;
        let ok = "tunnel_agent_exchanges_total{role=\"agent\",agent=\"web-1\",outcome=\"ok\"}";
        assert_eq!(sample(&text, ok), 3.0);
        assert_eq!(sample(&text, "tunnel_ready{role=\"agent\"}"), 1.0);

        // Who rotates logs takes the file away; lines go to a new one soon.
        let old = observed.files.path("gateway.old");
        while observed.lines("gateway.log").len() < 4 {
            yield_now().await;
        }
        fs::rename(observed.files.path("gateway.log"), &old).expect("it is there");
        while observed.lines("gateway.log").is_empty() {
            get(observed.listen, "/hello").await;
        }
        let files = observed.stop().await;
        let read = |name: &str| -> Vec<Value> {
            let text = files.read(name);
            let lines = text.lines().map(serde_json::from_str);
            lines.collect::<Result<_, _>>().expect("lines of JSON")
        };
        let gateway = [read("gateway.old"), read("gateway.log")].concat();
        let agent = read("agent.log");
        assert_eq!(gateway.len(), agent.len());
        for line in &gateway {
            let id = &line["request_id"];
            let mut of_agent = agent.iter().filter(|line| line["request_id"] == *id);
            let other = of_agent.next().expect("both have told of it");
            assert_eq!(
                (&line["trace_id"], &line["status"]),
                (&other["trace_id"], &other["status"])
            );
            assert_eq!(other["endpoint"], origin.uri());
            assert!(of_agent.next().is_none());
        }
        assert!(gateway.iter().all(|line| !line.to_string().contains("secret")));
    })
    .await;
}

#[tokio::test]
async fn lines_go_to_the_standard_output_unless_said_otherwise() {
    let files = Files::new();
    let rules = "  - id: page\n    respond: {status: 200, body: hi}\n";
    let text = gateway_file(rules) + "access_log: {format: common}\n";
    let file = files.write("gateway.yaml", &text);
    let mut gateway = Running::start(program("gateway", &["--config", &file]));
    let ready = gateway.line("ready listen=").await;
    let listen = ready
        .split(' ')
        .next()
        .expect("an address")
        .parse()
        .expect("an address");
    within_limit(async {
        get(listen, "/page?q=secret").await;
        let line = gateway.line("127.0.0.1 - - [").await;
        assert!(line.contains("\"GET /page?redacted HTTP/1.1\" 200 2 "), "{line}");
        assert!(line.contains(" rule=page"), "{line}");
    })
    .await;
}
