//! The operator's gateway and agent, with every layer that is recommended.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command as Immediate, Stdio},
};

use tokio::process::Command;
use tunnel_tests::pki::Ca;

use super::{Server, TOKEN, TUNNEL, TUNNEL_METRICS, Way, new_directory, write};
use crate::{
    options::{Extra, Options},
    process::{Failure, Process},
};

/// The rules of the gateway; those that match are the last.
const RULES: usize = 100;

/// What sets the programs' environment where they are deployed.
const UNIT: &str = include_str!("../../../../deploy/systemd/tunnel-gateway.service");

/// How the programs run.
#[derive(Clone, Debug)]
pub(crate) struct Flavour {
    pub(crate) name: String,
    programs: PathBuf,
    threads: Option<String>,
    extra: Option<Extra>,
}

impl Flavour {
    /// What the command line asks for; the first is the one that is compared.
    pub(crate) fn all(options: &Options) -> Result<Vec<Self>, Failure> {
        let programs = match &options.programs {
            Some(programs) => programs.clone(),
            None => beside(options)?,
        };
        let threads = |threads: &String| (threads != "default").then(|| threads.clone());
        let first = Self {
            name: TUNNEL.to_owned(),
            programs,
            threads: options.threads.first().and_then(threads),
            extra: None,
        };
        let mut flavours = vec![first.clone()];
        flavours.extend(options.threads.iter().skip(1).map(|more| Self {
            name: format!("{TUNNEL}, threads {more}"),
            threads: threads(more),
            ..first.clone()
        }));
        flavours.extend(options.with.iter().map(|extra| Self {
            name: match extra {
                Extra::Metrics => TUNNEL_METRICS.to_owned(),
                Extra::Log => format!("{TUNNEL}, metrics, log"),
                Extra::Tls => format!("{TUNNEL}, TLS"),
            },
            extra: Some(*extra),
            ..first.clone()
        }));
        flavours.extend(options.before.as_ref().map(|before| Self {
            name: format!("{TUNNEL} before"),
            programs: before.clone(),
            ..first.clone()
        }));
        match flavours
            .iter()
            .find(|flavour| !flavour.programs.join("gateway").is_file())
        {
            None => Ok(flavours),
            Some(flavour) => Err(format!(
                "there is no gateway in {}: cargo build --release -p tunnel-examples --bin gateway --bin agent",
                flavour.programs.display()
            )),
        }
    }

    /// Starts a gateway, and an agent that dials it.
    pub(crate) async fn start(&self, directory: &Path, server: Server) -> Result<Way, Failure> {
        self.start_through(directory, server, async |gateway| gateway)
            .await
    }

    /// The same with something between the two, to which `between` gives the address.
    pub(crate) async fn start_through(
        &self,
        directory: &Path,
        server: Server,
        between: impl AsyncFnOnce(SocketAddr) -> SocketAddr,
    ) -> Result<Way, Failure> {
        let directory = new_directory(directory, "tunnel")?;
        let config = self.gateway_config(&directory)?;
        let config = write(&directory, "gateway.yaml", &config)?;
        let (gateway, line) =
            Process::ready("gateway", &directory, &mut self.command("gateway", &config)).await?;
        let address = |key: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(key));
            let address = word.and_then(|word| word.parse::<SocketAddr>().ok());
            address.ok_or_else(|| format!("the gateway says: {line}"))
        };
        let (outside, agents) = (address("listen=")?, address("agents=")?);
        let config = self.agent_config(between(agents).await, server, &directory);
        let config = write(&directory, "agent.yaml", &config)?;
        let (agent, _) = Process::ready("agent", &directory, &mut self.command("agent", &config)).await?;
        let way = Way {
            name: self.name.clone(),
            plain: outside,
            calls: outside,
            processes: vec![gateway, agent],
        };
        way.answers(&directory).await?;
        Ok(way)
    }

    fn command(&self, program: &str, config: &Path) -> Command {
        let mut command = Command::new(self.programs.join(program));
        let set = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
        command
            .arg("--config")
            .arg(config)
            .env_remove("RUST_LOG")
            .envs(set.filter_map(|set| set.split_once('=')));
        if let Some(threads) = &self.threads {
            command.args(["--threads", threads]);
        }
        command
    }

    /// The recommended stack. Limits are so high that nothing is refused, and yet everything is counted.
    fn gateway_config(&self, directory: &Path) -> Result<String, Failure> {
        let mut rules = String::new();
        for number in 0..RULES - 3 {
            rules.push_str(&format!(
                "  - {{id: other-{number}, path: /app{number:02}, group: bench}}\n"
            ));
        }
        let tls = if self.has_tls() {
            let ca = Ca::new("bench");
            let server = ca.server(&["127.0.0.1"]);
            write(directory, "ca.pem", &ca.pem)?;
            write(directory, "server.pem", &server.certificate)?;
            write(directory, "server.key", &server.key)?;
            "  tls: {certificates: [{cert: server.pem, key: server.key}]}\n"
        } else {
            ""
        };
        let observed = self.observed(directory, "gateway");
        Ok(format!(
            "listen: 127.0.0.1:0
agents:
  listen: 127.0.0.1:0
{tls}  tokens: [{{name: bench, token: {TOKEN}, groups: [bench]}}]
auth:
  default: callers
  principal_header: x-user
  providers: {{callers: {{bearer: [{{name: bench, token: {TOKEN}}}]}}}}
rate_limits: [{{key: principal, rate: 100000000/s}}]
concurrency: {{max: 20000}}
timeouts: {{whole: 1h, head: 5m, request_idle: 5m, response_idle: 1h}}
limits: {{max_connections: 15000, send_timeout: 1h, exempt_addresses: [127.0.0.0/8]}}
lame_duck: 1ms
drain: 1s
rules:
{rules}  - {{id: hold, path: /bench.Hold, group: bench}}
  - {{id: calls, grpc: {{service: bench.Echo}}, group: bench}}
  - {{id: bench, path: /bench, group: bench}}
{observed}"
        ))
    }

    fn agent_config(&self, gateway: SocketAddr, server: Server, directory: &Path) -> String {
        let (plain, calls) = (server.plain, server.calls);
        let gateway = match self.has_tls() {
            true => format!("{{url: \"https://{gateway}\", tls: {{ca: ca.pem}}}}"),
            false => format!("http://{gateway}"),
        };
        let observed = self.observed(directory, "agent");
        format!(
            "gateway: {gateway}
id: bench
groups: [bench]
token: {TOKEN}
max_exchanges: 12000
drain: 1s
upstream: {{url: \"http://{plain}\", max_connections: 12000}}
routes:
  - path: /bench.Echo
    upstream: {{url: \"http://{calls}\", protocol: h2c}}
  - path: /bench.Hold
    upstream: {{url: \"http://{calls}\", protocol: h2c, max_connections: 200}}
{observed}"
        )
    }

    fn has_tls(&self) -> bool {
        self.extra == Some(Extra::Tls)
    }

    /// What is to be observed, as it stands in the file of `program`.
    fn observed(&self, directory: &Path, program: &str) -> String {
        match self.extra {
            None | Some(Extra::Tls) => String::new(),
            Some(Extra::Metrics) => "metrics: {}\n".to_owned(),
            Some(Extra::Log) => {
                let log = directory.join(format!("{program}.access.log"));
                format!("metrics: {{}}\naccess_log: {{file: {log:?}}}\n")
            }
        }
    }
}

/// The directory of this program, in which gateway and agent are built first unless that is not wanted.
fn beside(options: &Options) -> Result<PathBuf, Failure> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let directory = this.parent().ok_or("a program stands in a directory")?;
    if options.no_build {
        return Ok(directory.to_owned());
    }
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = directory.parent().ok_or("it stands in a target directory")?;
    let built = Immediate::new(env!("CARGO"))
        .args([
            "build",
            "--package",
            "tunnel-examples",
            "--bin",
            "gateway",
            "--bin",
            "agent",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .status();
    match built {
        Ok(status) if status.success() => Ok(directory.to_owned()),
        Ok(status) => Err(format!("gateway and agent cannot be built: {status}")),
        Err(error) => Err(format!("cargo cannot be started: {error}")),
    }
}
