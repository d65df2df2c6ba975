//! The files of `deploy/`: what the programs would read there is right, and works together. The other files there are looked at by
//! `.ci/deploy`.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, time::Duration};

use axum::{Router, routing::get as on_get};
use tunnel_tests::{origin::Origin, pki::Ca, wait::within_limit};

use crate::{
    program::{Running, TOKEN, output, program},
    world::{Files, get},
};

/// Where secrets and certificates are, on the machines that the files are for.
const MOUNTED: [&str; 6] = [
    "/run/secrets/",
    "/run/credentials/tunnel-gateway.service/",
    "/run/credentials/tunnel-agent.service/",
    "/etc/tunnel/secrets/",
    "/etc/tunnel/tls/",
    "/etc/tunnel/ca/",
];

/// A way to deploy: the files of gateway and agent, and what they run in.
struct Deployment {
    gateway: String,
    agent: String,
    /// Unit, manifest or service of compose.
    gateway_in: String,
    agent_in: String,
}

impl Deployment {
    fn all() -> [Self; 3] {
        [Self::compose(), Self::systemd(), Self::kubernetes()]
    }

    /// The file of each program, and what it runs in.
    fn sides(&self) -> [(&str, &str); 2] {
        [(&self.gateway, &self.gateway_in), (&self.agent, &self.agent_in)]
    }

    fn compose() -> Self {
        let services = read("compose/compose.yaml");
        let service = |name: &str| section(&services, &format!("  {name}:\n"));
        Self {
            gateway: read("compose/gateway.yaml"),
            agent: read("compose/agent.yaml"),
            gateway_in: service("gateway"),
            agent_in: service("agent"),
        }
    }

    fn systemd() -> Self {
        Self {
            gateway: read("systemd/gateway.yaml"),
            agent: read("systemd/agent.yaml"),
            gateway_in: read("systemd/tunnel-gateway.service"),
            agent_in: read("systemd/tunnel-agent.service"),
        }
    }

    fn kubernetes() -> Self {
        let (gateway, agent) = (read("kubernetes/gateway.yaml"), read("kubernetes/agent.yaml"));
        Self {
            gateway: section(&gateway, "  gateway.yaml: |\n"),
            agent: section(&agent, "  agent.yaml: |\n"),
            gateway_in: gateway,
            agent_in: agent,
        }
    }
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is indented below this line, without the indentation.
fn section(text: &str, line: &str) -> String {
    let (_, below) = text
        .split_once(line)
        .unwrap_or_else(|| panic!("there is no {line}"));
    let indentation = below.len() - below.trim_start_matches(' ').len();
    let lines = below
        .lines()
        .take_while(|line| line.is_empty() || line.len() - line.trim_start_matches(' ').len() >= indentation);
    lines
        .map(|line| format!("{}\n", line.get(indentation..).unwrap_or_default()))
        .collect()
}

/// The time that stands behind this, at its first place.
fn time(text: &str, before: &str) -> Option<Duration> {
    let (_, behind) = text.split_once(before)?;
    let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some(Duration::from_secs(
        behind[..digits].parse().expect("a time in seconds"),
    ))
}

/// The files beside which secrets and certificates stand, of a test.
fn files() -> Files {
    let files = Files::new();
    let ca = Ca::new("deploy");
    let issued = ca.server(&["localhost", "tunnel-gateway-agents"]);
    files.write("tunnel-token", TOKEN);
    files.write("admin-token", "fedcba9876543210fedcba9876543210");
    files.write("ca.crt", &ca.pem);
    files.write("tls.crt", &issued.certificate);
    files.write("tls.key", &issued.key);
    files
}

/// Writes a file of the programs, with paths of this machine.
fn write(files: &Files, name: &str, text: &str) -> String {
    let here = MOUNTED
        .iter()
        .fold(text.to_owned(), |text, mounted| text.replace(mounted, ""));
    files.write(name, &here)
}

#[tokio::test]
async fn the_files_of_the_programs_are_right() {
    for deployment in Deployment::all() {
        let files = files();
        for (name, text) in [("gateway", &deployment.gateway), ("agent", &deployment.agent)] {
            let file = write(&files, &format!("{name}.yaml"), text);
            let ended = within_limit(output(name, &["--check", "--config", &file])).await;
            assert_eq!(ended.code, Some(0), "{ended:?}\n{text}");
            assert_eq!(ended.stderr, "");
        }
    }
}

/// Nothing is killed before it could end by itself.
#[test]
fn there_is_time_to_leave() {
    for (config, around) in Deployment::all().iter().flat_map(Deployment::sides) {
        let given = [
            "terminationGracePeriodSeconds: ",
            "stop_grace_period: ",
            "TimeoutStopSec=",
        ];
        let given = given
            .iter()
            .find_map(|key| time(around, key))
            .expect("a time is given");
        let before = time(around, "preStop: {sleep: {seconds: ").unwrap_or_default();
        let lame_duck = time(config, "lame_duck: ").unwrap_or_default();
        let drain = time(config, "drain: ").expect("it is said");
        assert!(given > before + lame_duck + drain, "{given:?}\n{config}");
    }
}

/// Containers, of compose and Kubernetes alike, have the image's.
#[test]
fn memory_is_managed_alike_wherever_the_programs_run() {
    let of = |name| {
        let text = read(name);
        let value = text
            .split_once("GLIBC_TUNABLES=")
            .and_then(|(_, behind)| behind.lines().next());
        value.unwrap_or_else(|| panic!("{name} has none")).to_owned()
    };
    let image = of("Dockerfile");
    for unit in ["systemd/tunnel-gateway.service", "systemd/tunnel-agent.service"] {
        assert_eq!(of(unit), image, "{unit}");
    }
}

/// Whatever file a program is told to read is put there.
#[test]
fn secrets_are_mounted() {
    for (config, around) in Deployment::all().iter().flat_map(Deployment::sides) {
        let mut found = 0;
        for mounted in MOUNTED {
            for (at, _) in config.match_indices(mounted) {
                let behind = &config[at + mounted.len()..];
                let name = behind.split([',', '}', '\n']).next().expect("there is one");
                let put = match mounted.trim_end_matches('/') {
                    "/run/secrets" => "secrets: [tunnel-token, admin-token]".to_owned(),
                    place if place.starts_with("/run/") => format!("LoadCredential={name}:"),
                    place => format!("mountPath: {place},"),
                };
                assert!(around.contains(&put), "{mounted}{name}: {put}\n{around}");
                found += 1;
            }
        }
        assert!(found > 0, "{config}");
    }
}

/// What stands in the form is no token.
#[tokio::test]
async fn a_form_that_is_not_filled_in_does_not_start() {
    let secrets = read("kubernetes/secrets.yaml");
    let (_, token) = secrets.split_once("tunnel-token: ").expect("it is there");
    let files = files();
    files.write("tunnel-token", token.lines().next().expect("a line"));
    let file = write(&files, "gateway.yaml", &Deployment::kubernetes().gateway);
    let ended = within_limit(output("gateway", &["--check", "--config", &file])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("16"), "{ended:?}");
}

/// The files of each deployment, but for addresses, carry a request through both programs; then the commands of the images' health checks
/// are content, and what is scraped has the metrics.
#[tokio::test]
async fn a_request_passes() {
    for deployment in Deployment::all() {
        let files = files();
        let app = ["/", "/health", "/healthz"]
            .iter()
            .fold(Router::new(), |app, path| {
                app.route(path, on_get(|| async { "from behind" }))
            });
        let origin = Origin::http1(app).await;

        let file = write(&files, "gateway.yaml", &any_port(&deployment.gateway));
        let mut gateway = Running::start(program("gateway", &["--config", &file]));
        let ready = gateway.line("ready ").await;
        let agents: SocketAddr = field(&ready, "agents").parse().expect("an address");

        let reached = format!("//localhost:{}", agents.port());
        let agent = [
            "//gateway:7000",
            "//tunnel-gateway-agents:7000",
            "//127.0.0.1:7000",
        ]
        .iter()
        .fold(deployment.agent, |text, there| text.replace(there, &reached));
        let agent = ["http://upstream:3000", "http://127.0.0.1:3000", "http://web:80"]
            .iter()
            .fold(agent, |text, there| {
                text.replace(there, &origin.uri().to_string())
            });
        let file = write(&files, "agent.yaml", &any_port(&agent));
        let mut agent = Running::start(program("agent", &["--config", &file]));
        let agent_ready = agent.line("ready ").await;
        let listen = field(&ready, "listen").parse().expect("an address");
        let answer = within_limit(get(listen, "/")).await;
        assert_eq!(answer, (200, "from behind".to_owned()), "{}", gateway.log());

        for (name, ready) in [("gateway", &ready), ("agent", &agent_ready)] {
            let admin = format!("http://{}", field(ready, "admin"));
            let token = files.path("admin-token");
            let ask = |what| within_limit(output(name, &["--admin", &admin, "--token-file", &token, what]));
            let is_ready = ask("ready").await;
            assert_eq!(is_ready.code, Some(0), "{is_ready:?}");
            let metrics = ask("metrics").await.stdout;
            let line = format!("tunnel_ready{{role=\"{name}\"}} 1");
            assert!(metrics.lines().any(|known| known == line), "{line}\n{metrics}");
            assert!(metrics.contains("tunnel_exchanges_total{"), "{metrics}");
        }
    }
}

/// A field of the line that a program prints when it is ready.
fn field<'a>(ready: &'a str, name: &str) -> &'a str {
    let mut fields = ready.split_whitespace().filter_map(|field| field.split_once('='));
    let found = fields.find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("{name} is not told: {ready}")).1
}

/// The same, on ports of this machine that nobody else has.
fn any_port(text: &str) -> String {
    let text = text.replace("0.0.0.0:", "127.0.0.1:");
    ["8080", "7000", "9090", "9091"].iter().fold(text, |text, port| {
        text.replace(&format!("listen: 127.0.0.1:{port}"), "listen: 127.0.0.1:0")
    })
}

/// Rules, alerts and dashboard ask for metrics that there are.
#[test]
fn every_metric_is_there() {
    let known = [
        "crates/tunnel-layers/src/metrics/names.rs",
        "crates/tunnel-transport/src/metrics/names.rs",
        "examples/src/telemetry.rs",
    ];
    let known = known.map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    let known = known.concat();
    let mut seen = BTreeSet::new();
    for name in [
        "prometheus/rules.yaml",
        "prometheus/alerts.yaml",
        "prometheus/tests.yaml",
        "grafana/tunnel.json",
    ] {
        let text = read(name);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        // Names with colons are those of recording rules.
        let words = text
            .split(|c: char| !is_part(c))
            .filter(|word| word.starts_with("tunnel_") && !word.contains(':'));
        seen.extend(words.map(str::to_owned));
    }
    assert!(seen.len() > 25, "{seen:?}");
    for name in seen {
        let series = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let metric = series.unwrap_or(&name);
        assert!(known.contains(&format!("\"{metric}\"")), "{name}");
    }
}
