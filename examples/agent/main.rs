//! The operator's agent, from a YAML file: it forwards what comes through the tunnel to upstreams.
//!
//! ```sh
//! export TUNNEL_TOKEN=...   # the one that the gateway knows
//! cargo run --release -p tunnel-examples --bin agent -- --config examples/config/agent.yaml
//! ```
//!
//! `--check` reads the file, says what is wrong in it, and starts nothing. Once it is connected for the first time, one line
//! goes to the standard output: `ready agent=ID gateway=http://127.0.0.1:7000`, with ` listen=IP:PORT` behind it, and more
//! such addresses behind commas, if the file has `listen` or `listeners` (what comes there goes to the gateway), and ` admin=IP:PORT`
//! if it has `admin`. It connects again by itself whenever the
//! connection is lost. Ctrl-C or SIGTERM lets exchanges finish (at most `drain`), a second signal ends the agent at once.
//! `--threads` sets how many threads work.
//!
//! The file is looked at every two seconds (`reload`), and at SIGHUP: upstreams and routes may change while the agent serves. What it
//! registers at the gateway (groups, services, hosts, its name) needs a new start; a file that changes that changes nothing.
//!
//! Exit codes: 0 after a graceful stop, 1 if the file is wrong or the gateway refuses the agent, 2 for a wrong command line,
//! 128 and the signal's number when forced.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, process::ExitCode};

use tower::{Layer as _, ServiceBuilder};
use tracing::{info, warn};
use tunnel_core::BoxError;
use tunnel_examples::{
    Locals, OperatedAgent, Program, Reloads, Shutdown, Telemetry, Traces,
    config::AgentConfig,
    operate::{self, AgentCommand},
    program::{self, LogFilter, Options},
};
use tunnel_layers::{
    metrics::Overview,
    trace::{HopLayer, ServeLayer},
};
use tunnel_transport::{Agent, files::Files};

fn main() -> ExitCode {
    operate::main::<AgentCommand, _>(start)
}

async fn start(options: Options) -> ExitCode {
    // Before the file is read, which may tell of certificates that have expired.
    let log = program::log("info");
    let files = Files::new();
    let config = match options.load(|path| AgentConfig::load_noting(path, &files)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match run(config, options.config, files, log).await {
        Ok(code) => code,
        Err(error) => program::fail("agent", &*error),
    }
}

async fn run(config: AgentConfig, file: PathBuf, files: Files, log: LogFilter) -> Result<ExitCode, BoxError> {
    let shutdown = Shutdown::on_signals()?;
    let (agent, gateway) = (config.agent.clone(), config.gateway.clone());
    let routing = config.routing.clone();
    let id = agent.id().as_str().to_owned();
    let traces = Traces::start(config.traces.as_ref(), "tunnel-agent", &id)?;
    let overview = Overview::new();
    let telemetry = Telemetry::start(
        &config.observe,
        config.admin.is_some().then(|| overview.clone()),
        &traces,
    )?;
    // What those who are with the agent ask goes to its gateways.
    let (locals, closed) = Locals::open(
        &agent,
        &config.locals,
        telemetry.at_locals(),
        traces.tracer(),
        shutdown.clone(),
    )?;
    let listen = locals.addresses(&config.locals);
    let path = file.display().to_string();
    let reloads = Reloads::new(file, files, config.clone())?;
    let program = Program::new(path, reloads.handle(), log, overview);
    let mut operated = OperatedAgent::open(&config, program, &telemetry)?;
    let admin = operated.address();
    tokio::spawn(operated.serve());
    let reloads = reloads.run(|config| {
        routing.replace_own(config.upstreams.clone());
        locals.update(&config.locals);
        operated.replace(config);
    });
    let asked = shutdown.clone().asked();
    // The session stays until they have been served, so that nobody is refused because of the order.
    let end = async {
        asked.await;
        closed.wait().await;
    };
    // What nobody asks for does not stand in the stack, and costs nothing.
    let observe = telemetry.at_agent(&agent);
    let serve = if let Some(tracer) = traces.tracer() {
        let service = ServiceBuilder::new()
            .layer(observe)
            .layer(ServeLayer::new(tracer).with("tunnel.agent", id))
            .layer(HopLayer::upstream())
            .service(routing.service());
        agent.serve(service).with_graceful_shutdown(end).into_future()
    } else if observe.is_on() {
        let service = observe.layer(routing.service());
        agent.serve(service).with_graceful_shutdown(end).into_future()
    } else {
        let service = routing.service();
        agent.serve(service).with_graceful_shutdown(end).into_future()
    };
    let announce = async {
        agent.connected().await;
        println!("{}", ready(&agent, &gateway, &listen, admin));
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        served = serve => {
            served?;
            traces.finish().await;
            telemetry.finish();
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        code = shutdown.forced() => {
            warn!("forced to stop");
            Ok(code)
        }
        never = announce => match never {},
        never = reloads => match never {},
    }
}

/// The line that says that the agent is connected, and which ports are open.
fn ready(agent: &Agent, gateway: &str, listen: &[SocketAddr], admin: Option<SocketAddr>) -> String {
    let mut line = format!("ready agent={} gateway={gateway}", agent.id());
    let listen: Vec<_> = listen.iter().map(SocketAddr::to_string).collect();
    if !listen.is_empty() {
        line += &format!(" listen={}", listen.join(","));
    }
    if let Some(admin) = admin {
        line += &format!(" admin={admin}");
    }
    line
}
