//! The operator's gateway, from a YAML file.
//!
//! ```sh
//! export TUNNEL_TOKEN=$(openssl rand -hex 32)
//! cargo run --release -p tunnel-examples --bin gateway -- --config examples/config/gateway.yaml
//! ```
//!
//! `--check` reads the file, says what is wrong in it, and starts nothing. When all ports are open, one line goes to the
//! standard output: `ready listen=127.0.0.1:8080 agents=127.0.0.1:7000`; several ports for the outside stand there in the order of the
//! file, with commas between them, without a port for agents there is no `agents`, and with `admin` in the file its port stands behind
//! them. Ctrl-C or SIGTERM makes the gateway a lame
//! duck: it is not ready any more, tells its agents and clients to go elsewhere, and still serves. After `lame_duck` it lets
//! exchanges finish (at most `drain`). A second signal ends it at once. `RUST_LOG` sets what is logged, to the standard error.
//! `--threads` sets how
//! many threads work.
//!
//! The file, and those that it names, are looked at every two seconds (`reload`), and at SIGHUP: what is right takes effect, and what is
//! open goes on; what is wrong changes nothing, and the log says why.
//!
//! Exit codes: 0 after a graceful stop, 1 if the file is wrong or a port cannot be opened, 2 for a wrong command line,
//! 128 and the signal's number when forced.

mod policy;
mod stack;

use std::{fmt::Write as _, io, net::SocketAddr, path::PathBuf, process::ExitCode};

use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tracing::{error, info, warn};
use tunnel_core::BoxError;
use tunnel_examples::{
    OperatedGateway, Program, Reloads, Shutdown, Telemetry, Traces,
    config::{Access, GatewayConfig, Listener},
    operate::{self, GatewayCommand},
    program::{self, LogFilter, Options},
};
use tunnel_layers::{metrics::Overview, swap::Swap, trace_id::TraceIdLayer};
use tunnel_transport::{Gateway, files::Files};
use uuid::Uuid;

use self::stack::{Observed, Plain, Stack, Traced};

fn main() -> ExitCode {
    operate::main::<GatewayCommand, _>(start)
}

async fn start(options: Options) -> ExitCode {
    // Before the file is read, which may tell of certificates that have expired.
    let log = program::log("info");
    let files = Files::new();
    let config = match options.load(|path| GatewayConfig::load_noting(path, &files)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match run(config, options.config, files, log).await {
        Ok(code) => code,
        Err(error) => program::fail("gateway", &*error),
    }
}

async fn run(
    config: GatewayConfig,
    file: PathBuf,
    files: Files,
    log: LogFilter,
) -> Result<ExitCode, BoxError> {
    let shutdown = Shutdown::on_signals()?;
    let traces = Traces::start(
        config.traces.as_ref(),
        "tunnel-gateway",
        &Uuid::new_v4().to_string(),
    )?;
    let trace = trace_ids(&config, &traces);
    let overview = Overview::new();
    let telemetry = Telemetry::start(
        &config.observe,
        config.admin.is_some().then(|| overview.clone()),
        &traces,
    )?;
    let program = Parts {
        shutdown,
        traces,
        telemetry,
        overview,
    };
    let observe = program.telemetry.layer();
    if program.traces.tracer().is_some() {
        serve(config, file, files, log, program, Traced { observe, trace }).await
    } else if observe.is_on() {
        serve(config, file, files, log, program, Observed { observe, trace }).await
    } else {
        serve(config, file, files, log, program, Plain { trace }).await
    }
}

/// What is there before anything is served.
struct Parts {
    shutdown: Shutdown,
    traces: Traces,
    telemetry: Telemetry,
    overview: Overview,
}

async fn serve(
    config: GatewayConfig,
    file: PathBuf,
    files: Files,
    log: LogFilter,
    parts: Parts,
    stack: impl Stack,
) -> Result<ExitCode, BoxError> {
    let Parts {
        shutdown,
        traces,
        telemetry,
        overview,
    } = parts;
    let outside = config
        .listeners
        .iter()
        .map(|listener| program::listen(listener.listen));
    let outside: Vec<TcpListener> = outside.collect::<Result<_, _>>()?;
    let agents = config.agents_listen.map(program::listen).transpose()?;
    let path = file.display().to_string();
    let reloads = Reloads::new(file, files, config.clone())?;
    let program = Program::new(path, reloads.handle(), log, overview);
    let mut operated = OperatedGateway::open(&config, program, &telemetry)?;
    let ready = ready(&outside, agents.as_ref(), operated.address())?;
    tokio::spawn(operated.serve());
    if config.access == Access::Open {
        warn!("open: whoever reaches the port for agents may take every request");
    }

    let gateway = config.gateway.clone();
    push(&gateway, &config);
    let of_listener = |config: &GatewayConfig, listener: &Listener| {
        let guards = config.guards.clone().deadline(listener.deadline);
        stack.of(&gateway, config, listener.rules.clone(), guards)
    };
    serve_calls(&gateway, &config, &stack);

    // Agents stay until the outside has been served, so that nobody is refused because of the order.
    let (served, all_served) = oneshot::channel::<()>();
    let leave = {
        let (asked, gateway) = (shutdown.clone().asked(), gateway.clone());
        let away = config.lame_duck + config.drain;
        async move {
            asked.await;
            gateway.leave(away);
        }
    };
    tokio::spawn(leave);
    let mut serving = JoinSet::new();
    let mut newest = Vec::with_capacity(outside.len());
    for (port, listener) in outside.into_iter().zip(&config.listeners) {
        // Each request is handled to its end by the stack of the file that it began with.
        let (tunnel, handle) = Swap::new(of_listener(&config, listener));
        newest.push(handle);
        let serve = listener.entry.clone().serve(port, tunnel);
        let asked = shutdown.clone().asked();
        serving.spawn(serve.with_graceful_shutdown(asked).into_future());
    }
    config.upstreams.start();
    let serve_outside = async {
        serving.join_all().await;
        drop(served);
    };
    let serve_agents = agents.map(|agents| {
        let serve_agents = config.agents_limits.clone().agents(gateway.serve_agents(agents));
        let serve_agents = match config.agents_tls.clone() {
            Some(tls) => tls.agents(serve_agents),
            None => serve_agents,
        };
        serve_agents.drain(config.drain).with_graceful_shutdown(async {
            let _ = all_served.await;
        })
    });
    let serve_agents = async {
        if let Some(serve_agents) = serve_agents {
            serve_agents.await;
        }
    };
    let reloads = reloads.run(|config| {
        // Ports cannot change, so that there is one of each for each.
        for (handle, listener) in newest.iter().zip(&config.listeners) {
            handle.replace(of_listener(config, listener));
        }
        config.upstreams.start();
        gateway.replace_agent_auth(config.agent_auth.clone());
        serve_calls(&gateway, config, &stack);
        push(&gateway, config);
        operated.replace(config);
    });
    println!("{ready}");
    tokio::select! {
        ((), ()) = async { tokio::join!(serve_outside, serve_agents) } => {
            traces.finish().await;
            telemetry.finish();
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        never = reloads => match never {},
        code = shutdown.forced() => {
            warn!("forced to stop");
            Ok(code)
        }
    }
}

/// What gives each request its place in a trace, and tells those that are sampled.
fn trace_ids(config: &GatewayConfig, traces: &Traces) -> TraceIdLayer {
    let trust = config.traces.as_ref().is_none_or(|traces| traces.trust);
    TraceIdLayer::new().trust(trust).tracer(traces.tracer())
}

/// Has what agents ask answered as the file says, or refused.
fn serve_calls(gateway: &Gateway, config: &GatewayConfig, stack: &impl Stack) {
    match &config.calls {
        Some(calls) => {
            let guards = config.guards_of(calls);
            gateway.serve_calls(stack.of(gateway, config, calls.rules.clone(), guards));
        }
        None => gateway.refuse_calls(),
    }
}

/// The line that says which ports are open.
fn ready(
    outside: &[TcpListener],
    agents: Option<&TcpListener>,
    admin: Option<SocketAddr>,
) -> io::Result<String> {
    let outside = outside
        .iter()
        .map(|port| port.local_addr().map(|address| address.to_string()));
    let outside: Vec<_> = outside.collect::<Result<_, _>>()?;
    let mut line = format!("ready listen={}", outside.join(","));
    if let Some(agents) = agents {
        write!(line, " agents={}", agents.local_addr()?).map_err(io::Error::other)?;
    }
    if let Some(admin) = admin {
        write!(line, " admin={admin}").map_err(io::Error::other)?;
    }
    Ok(line)
}

/// Has the agents of some groups get what the file says for them.
fn push(gateway: &Gateway, config: &GatewayConfig) {
    if let Err(error) = gateway.agent_configs().replace(config.pushed.clone()) {
        error!(%error, "the agents keep the configuration that they have");
    }
}
